"""gateway/tokens: a token says what was shown, for a while, and nobody else can say it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings
from rejoinder.gateway.errors import BadToken, TokenExpired
from rejoinder.gateway.tokens import MAX_CHARS, Tokens


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.failures: list[Exception] = []
        self.key, self.old = folder / "key", folder / "old"
        self.key.write_text("the first secret of a test")
        self.old.write_text("an older secret of a test")
        self.tokens = Tokens(self.key, self.old, 60.0, self.clock, self.failures.append)

    def made(self) -> str:
        return self.tokens.of("acme", "ann", "c-1", "i-1", ("a-1", "a-2"))[0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_token_is_read_as_it_was_made_until_its_end(world: World) -> None:
    token, expires = world.tokens.of("acme", "ann", "c-1", "i-1", ("a-1",))
    assert expires == world.clock.now() + 60
    shown = world.tokens.read(token)
    assert (shown.tenant, shown.user_id, shown.conversation_id) == ("acme", "ann", "c-1")
    assert (shown.interaction_id, shown.attempts) == ("i-1", ("a-1",))
    world.clock.advance(59)
    world.tokens.read(token)
    world.clock.advance(1)
    with pytest.raises(TokenExpired):
        world.tokens.read(token)


def test_a_token_outlives_a_change_of_keys_while_the_old_one_is_kept(world: World) -> None:
    token = world.made()
    world.old.write_text(world.key.read_text())
    world.key.write_text("the second secret of a test, longer")
    assert world.tokens.read(token).interaction_id == "i-1"
    fresh = world.made()
    world.old.write_text("an older secret of a test, gone again")
    with pytest.raises(BadToken):
        world.tokens.read(token)
    assert world.tokens.read(fresh).interaction_id == "i-1"


def test_a_key_that_cannot_be_read_keeps_the_one_before(world: World) -> None:
    token = world.made()
    world.key.write_text("short")
    assert world.tokens.read(token).interaction_id == "i-1"
    assert isinstance(world.failures[0], BadSettings)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_change_of_a_token_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    world = World(tmp_path_factory.mktemp("keys"))
    token = world.made()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[place]))
    changed = token[:place] + other + token[place + 1 :]
    # The last character of base64 holds bits that stand for nothing.
    if place == len(token) - 1:
        changed = token[:-2] + other
    with pytest.raises(BadToken):
        world.tokens.read(changed)


@pytest.mark.parametrize(
    "token", ["", ".", "v1..", "v1.é.é", "v1." + "A" * MAX_CHARS, "v1.W10.", "\x00" * 40, "v1.a.b.c"]
)
def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    with pytest.raises(BadToken):
        world.tokens.read(token)

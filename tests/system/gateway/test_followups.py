"""An application that sends no feedback: what its users say next is found, and the ledger knows about which answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.settings import Forgetting, LedgerSettings
from rejoinder.stream.follower import FollowerLog

from tests.chaos.harness import wait_until
from tests.system.gateway.world import World, gateway

pytestmark = pytest.mark.system


@pytest.fixture
def other(world: World, tmp_path: Path) -> Iterator[openai.OpenAI]:
    """A replica that has served nothing: another one, or the same begun again."""
    settings = {
        "UPSTREAM__KIND": "openai",
        "UPSTREAM__OPENAI__URL": world.upstream.url,
        "UPSTREAM__OPENAI__STABLE": world.base.version,
    }
    process, url = gateway(tmp_path, world.feedback.port, settings)
    try:
        process.start()
        with openai.OpenAI(api_key="unused", base_url=url, max_retries=0) as client:
            yield client
    finally:
        process.close()


def ask(client: openai.OpenAI, turns: list[str], user: str, n: int = 1, **headers: str) -> tuple[dict[str, Any], str]:
    """turns: the user's and the assistant's, in turn. What the last of n choices says of itself, and its text."""
    messages: Any = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    named = {f"x-rejoinder-{name}": value for name, value in headers.items()}
    answer = client.chat.completions.create(model="assist", messages=messages, user=user, n=n, extra_headers=named)
    return answer.model_extra["rejoinder"], str(answer.choices[-1].message.content)


def linked(world: World, folder: Path) -> dict[str, tuple[str, str, str, str]]:
    """By a follow-up's words, what the ledger makes of it: (state, cause, interaction, attempt)."""
    log = FollowerLog(str(world.log_path), None)  # type: ignore[arg-type]
    try:
        with Ledger(folder / "ledger.db", LedgerSettings(Forgetting(b"a key of the test")), SystemClock()) as ledger:
            ledger.project(log)
    finally:
        log.close()
    with sqlite3.connect(folder / "ledger.db") as database:
        rows = database.execute("select words, state, cause, target_interaction, target_attempt from feedback")
        found = [(words.split('"')[-2], rest) for words, *rest in rows]
    assert len({words for words, _ in found}) == len(found), "each once"
    return {words: tuple(rest) for words, rest in found}


def test_the_next_request_brings_the_follow_up(world: World, other: openai.OpenAI, tmp_path: Path) -> None:
    with openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0) as first:
        one, said = ask(first, ["where is it?"], "eve")
        ask(other, ["where is it?", said, "shorter"], "eve")
        # Tried again at another replica, and answered anew.
        ask(first, ["where is it?", said, "shorter"], "eve")
        ask(first, ["where is it?", said, "shorter"], "eve", interaction="another")
        # Another user has the same history, or says so.
        ask(other, ["where is it?", said, "whose?"], "mallory")
        # Of several choices, the one that the application went on with.
        two, second = ask(first, ["where is she?"], "eve", n=2)
        ask(other, ["where is she?", second, "that one"], "eve")
        # An application that changes what was said, but says where it was.
        named = {"conversation": "c-eve", "turn": "1"}
        three, _ = ask(first, ["where is he?"], "eve", **named)
        ask(other, ["where is he?", "(edited)", "and now?"], "eve", **{**named, "turn": "2"})
    wait_until(lambda: len({f.event_id for f in world.feedbacks() if f.user_id in ("eve", "mallory")}) == 4, "them")
    wait_until(lambda: len([i for i in world.interactions() if i.user_id in ("eve", "mallory")]) == 10, "the answers")
    assert linked(world, tmp_path) == {
        "shorter": ("joined", "", one["interaction_id"], one["attempt_id"]),
        "whose?": ("unlinked", "digest_unknown", "", ""),
        "that one": ("joined", "", two["interaction_id"], two["attempt_ids"][1]),
        "and now?": ("joined", "", three["interaction_id"], three["attempt_id"]),
    }

"""policy/shadow: who is answered again, what becomes of it, and that nothing of it stays but counts."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core.charter import Rule
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings, DeadlineExceeded, Draining, NotFound
from rejoinder.core.shadow import Order
from rejoinder.core.types import ArmKind, Consent, Interaction, Message, Role, Sampling, Served
from rejoinder.policy.shadow import Shadow, Shown, marks_of
from rejoinder.rollout.shadow import Marks
from rejoinder.runtime.backends.rows import Answer, Row

ORDER = Order("salt", 1.0, "user", "r41", "r42", "d42", lasts=30.0)
SERVED = Served(version="r41", digest="d41", arm=ArmKind.STABLE, propensity=1.0)
ASKED = Interaction(
    tenant="t",
    interaction_id="i1",
    user_id="u1",
    messages=(Message(Role.USER, "How warm is it in Lyon?"),),
    sampling=Sampling(0.7, max_tokens=40, seed=11),
    served=SERVED,
)


#: Of waits that end with what they wait for.
WAIT_S = 30.0


def said(text: str = "20 degrees", tokens: int = 3, reason: str = "stop") -> Answer:
    return Answer(text, (1,) * tokens, -0.5, reason, 5)


class FakeEngine:
    """Writes nothing until it is told to. owns: the rows it took."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def submit(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)


class FakeVersions:
    """owns: the digests that are loaded, and who uses them."""

    def __init__(self) -> None:
        self.loaded, self.used = {"d41", "d42"}, Counter[str]()

    @contextmanager
    def use(self, digest: str) -> Iterator[str]:
        if digest not in self.loaded:
            raise NotFound("not loaded")
        self.used[digest] += 1
        try:
            yield f"adapter-{digest}"
        finally:
            self.used[digest] -= 1


class Ends:
    """owns: what became of each."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def shadowed(self, end: str) -> None:
        self.seen.append(end)


class World:
    def __init__(self, order: Order | None = ORDER, at_once: int = 2) -> None:
        self.engine, self.versions, self.clock, self.ends = FakeEngine(), FakeVersions(), ManualClock(), Ends()
        self.shadow = Shadow(self.engine, self.versions, self.clock, self.ends, "life", at_once, 60.0)  # type: ignore[arg-type]
        if order is not None:
            self.shadow.order(order)

    def offer(self, answer: Answer | None = said(), **asked: Any) -> None:
        self.shadow.offer(Shown(replace(ASKED, **asked), [1, 2, 3, 4, 5], answer))

    async def rows(self, count: int) -> list[Row]:
        """The rows that the engine has, when they are so many."""
        async with asyncio.timeout(WAIT_S):
            while len(self.engine.rows) < count:
                await asyncio.sleep(0)
        return self.engine.rows

    async def ended(self, count: int) -> list[str]:
        async with asyncio.timeout(WAIT_S):
            while len(self.ends.seen) < count:
                await asyncio.sleep(0)
        return self.ends.seen


async def test_the_same_words_and_settings_are_asked_of_the_candidate_as_a_spare_row() -> None:
    world = World()
    world.offer()
    (row,) = await world.rows(1)
    assert (row.tokens, row.sampling, row.adapter) == ([1, 2, 3, 4, 5], ASKED.sampling, "adapter-d42")
    assert (row.spare, row.deadline) == (True, world.clock.monotonic() + 60.0)
    row.done.set_result(said("", tokens=1))
    assert await world.ended(1) == ["pair"]
    scored = world.shadow.scored
    (failures,) = scored.vetoes
    assert (scored.epoch, scored.salt, scored.pairs, scored.shown_tokens, scored.candidate_tokens) == (
        "life",
        "salt",
        1,
        3,
        1,
    )
    assert (failures.pairs, failures.shown, failures.candidate, failures.both) == (1, 0, 1, 0)
    assert world.versions.used["d42"] == 0, "the version is held no longer"


@pytest.mark.parametrize(
    "asked",
    [
        {"consent": Consent.NO_TRAIN},
        {"served": replace(SERVED, holdout=True)},
        {"served": replace(SERVED, forced=True)},
        {"served": replace(SERVED, arm=ArmKind.CANARY)},
        {"served": replace(SERVED, arm=ArmKind.BASELINE)},
        {"served": replace(SERVED, version="r40")},
    ],
)
async def test_whose_answer_is_not_stables_own_to_compare_is_left_alone(asked: dict[str, Any]) -> None:
    world = World()
    world.offer(**asked)
    world.offer(interaction_id="i2")
    assert len(await world.rows(1)) == 1
    await world.shadow.close()


async def test_nobody_is_answered_again_before_an_order_after_it_or_where_it_is_over() -> None:
    world = World(order=None)
    world.offer()
    world.shadow.order(ORDER)
    world.clock.advance(30.0)
    world.offer()
    world.shadow.order(replace(ORDER, share=0.0))
    world.offer()
    await asyncio.sleep(0)
    assert (world.engine.rows, world.ends.seen) == ([], [])
    with pytest.raises(BadSettings):
        world.shadow.order(replace(ORDER, lasts=None))


async def test_of_one_user_one_pair_counts() -> None:
    world = World()
    world.offer()
    world.offer(interaction_id="i2")
    (await world.rows(1))[0].done.set_result(said())
    await world.ended(1)
    world.offer(interaction_id="i3")
    world.offer(interaction_id="i4", user_id="u2")
    assert len(await world.rows(2)) == 2
    await world.shadow.close()


async def test_what_finds_no_room_comes_late_or_has_lost_its_version_is_dropped_and_counted() -> None:
    world = World(at_once=1)
    world.offer()
    world.offer(interaction_id="i2", user_id="u2")
    (await world.rows(1))[0].done.set_exception(DeadlineExceeded("late"))
    await world.ended(2)
    world.offer()
    (await world.rows(2))[1].done.set_result(said(reason="deadline"))
    await world.ended(3)
    world.versions.loaded.clear()
    world.offer()
    assert await world.ended(4) == ["no_room", "late", "late", "not_loaded"]
    assert world.shadow.dropped == {"no_room": 1, "late": 2, "not_loaded": 1}
    assert (world.shadow.scored.pairs, world.shadow.scored.dropped) == (0, 4)


async def test_the_end_of_the_phase_takes_back_what_is_being_written() -> None:
    world = World()
    world.offer()
    (row,) = await world.rows(1)
    world.shadow.order(replace(ORDER, share=0.0))
    assert await world.ended(1) == ["ended"]
    assert (row.cancelled, world.versions.used["d42"]) == (True, 0)


async def test_a_process_that_stops_waits_for_none() -> None:
    world = World()
    world.offer()
    (row,) = await world.rows(1)
    world.offer(user_id="u2")
    (await world.rows(2))[1].done.set_exception(Draining("the engine is stopping"))
    await world.ended(1)
    await world.shadow.close()
    assert world.ends.seen == ["ended", "ended"]
    assert row.cancelled


async def test_another_rollout_begins_at_nothing_and_a_pair_of_the_old_one_is_not_its() -> None:
    world = World()
    world.offer()
    (row,) = await world.rows(1)
    world.shadow.order(replace(ORDER, salt="next"))
    world.offer()
    row.done.set_result(said())
    rows = await world.rows(2)
    rows[1].done.set_result(said())
    await world.ended(1)
    assert (world.shadow.scored.salt, world.shadow.scored.pairs) == ("next", 1)


async def test_a_model_that_breaks_is_a_harm_and_no_error() -> None:
    world = World()
    world.offer(None)
    (await world.rows(1))[0].done.set_exception(ArithmeticError("no numbers"))
    await world.ended(1)
    assert [count.both for count in world.shadow.scored.vetoes] == [1]


async def test_no_word_stays_behind() -> None:
    world = World(replace(ORDER, refusals=True, norms=(Rule(forbid="umbrella"),)))
    world.offer(said("a secret sentence"))
    (await world.rows(1))[0].done.set_result(said("another confession"))
    await world.ended(1)
    world.engine.rows.clear()
    kept = json.dumps(vars(world.shadow), default=lambda each: vars(each) if hasattr(each, "__dict__") else str(each))
    for word in ("secret", "confession", "Lyon", "u1", "i1"):
        assert word not in kept


def test_marks_are_read_by_the_functions_that_judge_shown_answers() -> None:
    order = replace(ORDER, refusals=True, norms=(Rule(asked="warm", forbid="umbrella"), Rule(forbid="never")))
    assert marks_of("is it warm", said("Take an umbrella."), order) == Marks(False, 3, False, False, True)
    assert marks_of("is it cold", said("Take an umbrella."), order) == Marks(False, 3, False, False, False)
    assert marks_of("", said("I cannot help with that.", reason="length"), order).refused
    assert marks_of("", said("x", reason="length"), ORDER) == Marks(False, 3, True)
    assert marks_of("", said("  "), order) == Marks(True, 3)
    assert marks_of("", None, order) == Marks(True)

"""policy/shadow: who is answered again, what becomes of it, and that nothing of it stays but counts."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from rejoinder.rollout.shadow import Count, Marks
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
    """Writes nothing until it is told to, or at once what `writes` says. owns: the rows it took."""

    def __init__(self, writes: Callable[[Row], Answer] | None = None) -> None:
        self.rows: list[Row] = []
        self.writes = writes

    def submit(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)
        for row in rows if self.writes else ():
            row.done.set_result(self.writes(row))


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
    def __init__(
        self, order: Order | None = ORDER, at_once: int = 2, writes: Callable[[Row], Answer] | None = None
    ) -> None:
        self.engine, self.versions, self.clock, self.ends = FakeEngine(writes), FakeVersions(), ManualClock(), Ends()
        self.shadow = Shadow(self.engine, self.versions, self.clock, self.ends, "life", at_once, 60.0)  # type: ignore[arg-type]
        if order is not None:
            self.shadow.order(order)

    def offer(self, **asked: Any) -> None:
        self.shadow.offer(Shown(replace(ASKED, **asked), [1, 2, 3, 4, 5]))

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


def end(rows: Sequence[Row], stable: Answer, candidate: Answer) -> None:
    """Both halves of the last pair are written."""
    for row, answer in zip(rows[-2:], (stable, candidate), strict=True):
        row.done.set_result(answer)


async def test_the_same_words_settings_and_time_are_given_to_both_versions_as_spare_rows() -> None:
    world = World()
    world.offer()
    rows = await world.rows(2)
    assert [row.adapter for row in rows] == ["adapter-d41", "adapter-d42"]
    for row in rows:
        assert (row.tokens, row.sampling) == ([1, 2, 3, 4, 5], ASKED.sampling)
        assert (row.spare, row.deadline) == (True, world.clock.monotonic() + 60.0)
    end(rows, said(), said("", tokens=1))
    assert await world.ended(1) == ["pair"]
    scored = world.shadow.scored
    (failures,) = scored.vetoes
    assert (scored.epoch, scored.salt, scored.pairs) == ("life.1", "salt", 1)
    assert (scored.shown_tokens, scored.candidate_tokens) == (3, 1)
    assert (failures.pairs, failures.shown, failures.candidate, failures.both) == (1, 0, 1, 0)
    assert not +world.versions.used, "no version is held any longer"


async def told(runs: int, users: int, left: float = 0.0) -> list[Count]:
    """What `length` says in so many phases of a candidate that answers as stable does: a fifth of the answers is long,
    and a quarter of those comes late. left: the control, in which answers are held against those that were shown, and
    callers left that share of the long ones before their end."""
    lengths = random.Random(5)

    def writes(row: Row) -> Answer:
        long = lengths.random() < 0.2
        while long and row.adapter == "adapter-d41" and lengths.random() < left:
            long = lengths.random() < 0.2
        late = long and lengths.random() < 0.25
        return said("so", 100 if long else 20, "deadline" if late else "stop")

    found = []
    for run in range(runs):
        world = World(replace(ORDER, salt=str(run)), users, writes)
        for user in range(users):
            world.offer(interaction_id=f"i{user}", user_id=f"u{user}")
        await world.ended(users)
        await world.shadow.close()
        found.append(next(count for count in world.shadow.scored.vetoes if count.veto == "length"))
    return found


async def test_a_candidate_that_answers_as_stable_does_is_not_called_harmful_for_who_waited_for_the_end() -> None:
    """Answers that were left or ran out of time are long: pairs must not depend on whether one was."""
    needed = math.log(1 / 0.05)
    fair = await told(30, 100)
    assert sum(count.log_e(two_sided=True) >= needed for count in fair) / 30 <= 0.05
    ones, others = sum(count.candidate for count in fair), sum(count.shown for count in fair)
    assert abs(ones - others) < 3 * math.sqrt(ones + others)
    (control,) = await told(1, 1000, left=0.5)
    assert control.log_e() >= needed


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
    assert len(await world.rows(2)) == 2
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
    end(await world.rows(2), said(), said())
    await world.ended(1)
    world.offer(interaction_id="i3")
    world.offer(interaction_id="i4", user_id="u2")
    assert len(await world.rows(4)) == 4
    await world.shadow.close()
    assert world.shadow.dropped == {"ended": 1}, "whoever was counted before is nothing that is missing"


@pytest.mark.parametrize("half", [0, 1])
async def test_what_finds_no_room_comes_late_or_has_lost_its_version_is_dropped_whole_and_counted(half: int) -> None:
    world = World(at_once=1)
    world.offer()
    world.offer(interaction_id="i2", user_id="u2")
    rows = await world.rows(2)
    rows[1 - half].done.set_result(said())
    rows[half].done.set_exception(DeadlineExceeded("late"))
    await world.ended(2)
    world.offer()
    answers = [said(reason="deadline"), said()]
    end(await world.rows(4), answers[half], answers[1 - half])
    await world.ended(3)
    world.versions.loaded.remove(("d41", "d42")[half])
    world.offer()
    assert await world.ended(4) == ["no_room", "late", "late", "not_loaded"]
    assert world.shadow.dropped == {"no_room": 1, "late": 2, "not_loaded": 1}
    assert (world.shadow.scored.pairs, world.shadow.scored.dropped) == (0, 4)


async def test_where_no_more_units_can_be_remembered_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Shadow.__module__], "MOST", 1)
    world = World(writes=lambda row: said())
    world.offer()
    await world.ended(1)
    world.offer(interaction_id="i2", user_id="u2")
    assert await world.ended(2) == ["pair", "full"]
    assert world.shadow.dropped == {"full": 1}


async def test_the_end_of_the_phase_takes_back_what_is_being_written() -> None:
    world = World()
    world.offer()
    rows = await world.rows(2)
    world.shadow.order(replace(ORDER, share=0.0))
    assert await world.ended(1) == ["ended"]
    assert all(row.cancelled for row in rows)
    assert not +world.versions.used


async def test_a_process_that_stops_waits_for_none() -> None:
    world = World()
    world.offer()
    rows = await world.rows(2)
    world.offer(user_id="u2")
    (await world.rows(4))[3].done.set_exception(Draining("the engine is stopping"))
    rows[2].done.set_result(said())
    await world.ended(1)
    await world.shadow.close()
    assert world.ends.seen == ["ended", "ended"]
    assert all(row.cancelled for row in rows[:2])


async def test_another_rollout_begins_at_nothing_and_a_pair_of_the_old_one_is_not_its() -> None:
    world = World()
    world.offer()
    rows = await world.rows(2)
    world.clock.advance(30.0)
    world.shadow.order(replace(ORDER, salt="next"))
    world.offer()
    end(rows, said(), said())
    end(await world.rows(4), said(), said())
    await world.ended(2)
    assert (world.shadow.scored.salt, world.shadow.scored.pairs, world.shadow.scored.dropped) == ("next", 1, 0)


async def test_two_rollouts_at_once_wipe_nothing_of_each_other() -> None:
    """The one in force goes on until it has ended or lapsed; which it is, the answer shows."""
    world = World(writes=lambda row: said())
    other = replace(ORDER, salt="other")
    world.offer()
    await world.ended(1)
    for order in (other, replace(other, share=0.0)):
        world.shadow.order(order)
        assert (world.shadow.scored.salt, world.shadow.scored.pairs) == ("salt", 1)
    world.shadow.order(replace(ORDER, share=0.0))
    assert world.shadow.scored.pairs == 1, "the totals at its end"
    world.shadow.order(other)
    assert (world.shadow.scored.epoch, world.shadow.scored.pairs) == ("life.2", 0)
    world.shadow.order(replace(other, share=0.0))
    world.shadow.order(ORDER)
    assert world.shadow.scored.epoch == "life.3", "no total of an epoch ever falls"


async def test_a_model_that_breaks_is_a_harm_and_no_error() -> None:
    world = World()
    world.offer()
    for row in await world.rows(2):
        row.done.set_exception(ArithmeticError("no numbers"))
    await world.ended(1)
    assert [count.both for count in world.shadow.scored.vetoes] == [1]


async def test_both_answers_are_scored_in_a_thread_of_their_own_when_both_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The threads that read prompts of shown answers are no place for it."""
    threads: list[str] = []

    def marked(asked: str, answer: Answer | None, order: Order) -> Marks:
        threads.append(threading.current_thread().name)
        return marks_of(asked, answer, order)

    monkeypatch.setattr(sys.modules[Shadow.__module__], "marks_of", marked)
    world = World()
    world.offer()
    stable, candidate = await world.rows(2)
    stable.done.set_result(said())
    await asyncio.sleep(0)
    assert threads == []
    candidate.done.set_result(said())
    await world.ended(1)
    assert threads == ["shadow-scorer_0"] * 2


async def test_no_word_stays_behind() -> None:
    world = World(replace(ORDER, refusals=True, norms=(Rule(forbid="umbrella"),)))
    world.offer()
    end(await world.rows(2), said("a secret sentence"), said("another confession"))
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

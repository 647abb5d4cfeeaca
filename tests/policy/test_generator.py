"""policy/generator: every attempt that ran is recorded once, before its caller sees the end; refused ones are not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import DeadlineExceeded, InvalidArgument, NotFound, QueueFull
from rejoinder.core.types import ArmKind, AttemptStatus, Interaction, Message, Role, Sampling, Served
from rejoinder.policy.attempt import Started
from rejoinder.policy.checks import Limits
from rejoinder.policy.generator import Ask, Ended, Generator
from rejoinder.policy.shadow import Shown
from rejoinder.policy.versions import ADAPTER_FILE, Versions
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.registry.store import FolderStore
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.backends.rows import Answer, Row, Scoring

ASK = Interaction(tenant="t", user_id="u", messages=(Message(Role.USER, "How warm?"),))


class FakeEngine:
    """Answers with the words it is given, when told to. owns: the rows it took."""

    def __init__(self, words: Sequence[str] = ("20 ", "C"), reason: str = "stop", full: bool = False) -> None:
        self.words = words
        self.reason = reason
        self.full = full
        self.rows: list[Row] = []
        self.loaded: list[str] = []

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        return list(range(len(messages)))

    def encode(self, text: str) -> list[int]:
        return [1] * len(text.split())

    def submit(self, rows: Sequence[Row]) -> None:
        if self.full:
            raise QueueFull("full", retry_after_s=1.0)
        self.rows.extend(rows)
        for row in rows:
            self.answer(row)

    def answer(self, row: Row) -> None:
        for word in self.words:
            row.on_text(word)
        row.done.set_result(Answer("".join(self.words), (1, 2), -0.5, self.reason, len(row.tokens)))

    def likelihood(
        self, context: Sequence[int], continuations: Sequence[Sequence[int]], adapter: str, deadline: float | None
    ) -> Scoring:
        asked = Scoring([(context, c) for c in continuations], adapter, deadline)
        asked.done.set_result([-1.0 * len(c) for c in continuations])
        return asked

    def load_adapter(self, name: str, path: Path) -> Future[None]:
        self.loaded.append(name)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def unload_adapter(self, name: str) -> Future[None]:
        self.loaded.remove(name)
        done: Future[None] = Future()
        done.set_result(None)
        return done


class SlowEngine(FakeEngine):
    """Says one word and then nothing."""

    def answer(self, row: Row) -> None:
        row.on_text("20 ")


class BrokenEngine(FakeEngine):
    """Fails in the middle, as a model runtime does."""

    def answer(self, row: Row) -> None:
        row.on_text("20 ")
        row.done.set_exception(RuntimeError("kernel"))


class FakeRecord:
    """A spool that keeps what it is given. owns: the list."""

    def __init__(self) -> None:
        self.kept: list[Interaction] = []
        self.full = False

    def put(self, interaction: Interaction) -> Future[bool]:
        self.kept.append(interaction)
        done: Future[bool] = Future()
        done.set_result(True)
        return done


class Offered:
    """Whoever answers again. owns: what it was offered."""

    def __init__(self) -> None:
        self.offers: list[Shown] = []

    def offer(self, shown: Shown) -> None:
        self.offers.append(shown)


class SlowRecord(FakeRecord):
    """A spool whose disk does not answer until told. owns: the futures it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Future[bool]] = []

    def put(self, interaction: Interaction) -> Future[bool]:
        self.kept.append(interaction)
        self.waiting.append(Future())
        return self.waiting[-1]


class FakeMeter:
    """owns: what it was told."""

    def __init__(self) -> None:
        self.arms: list[Served] = []
        self.drawn: list[ArmKind] = []
        self.answers: list[Answer] = []
        self.firsts: list[float] = []

    def assigned(self, served: Served) -> None:
        self.arms.append(served)

    def drew(self, arm: ArmKind) -> None:
        self.drawn.append(arm)

    def first_text(self, seconds: float) -> None:
        self.firsts.append(seconds)

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)


class World:
    """A generator with fakes around it and a canary in the registry."""

    def __init__(
        self, engine: FakeEngine, tmp_path: Path, weight: float | None = None, record: FakeRecord | None = None
    ) -> None:
        self.clock = ManualClock()
        self.engine = engine
        self.record = record or FakeRecord()
        self.meter = FakeMeter()
        self.assignments = AssignmentCounter("e")
        store = FolderStore(tmp_path / "registry")
        artefacts = Artefacts(store, tmp_path / "artefacts")
        made = tmp_path / "made"
        made.mkdir()
        (made / ADAPTER_FILE).write_bytes(b"adapter")
        self.canary = Version("assist-r0001", artefacts.put(made))
        artefacts.publish(Manifest("assist", "assist-r0001", self.canary.digest, base_digest="base"))
        self.artefacts = artefacts
        self.versions = Versions(artefacts, "assist", engine, "base", 2)
        table = ArmsTable(policy="assist", generation=1, stable=Version("assist-base", "base"), holdout_share=0.0)
        self.versions.load(table.stable)
        self.view = ArmsView(table, self.clock)
        self.view.caught_up()
        if weight is not None:
            self.versions.load(self.canary)
            now = self.clock.now()
            with_canary = replace(
                table, generation=2, canary=self.canary, steps=(Step(weight, now),), lease=Lease(30.0, now, now + 30.0)
            )
            self.view.receive(with_canary, now)
        self.shadow = Offered()
        self.generator = Generator(
            engine,
            self.versions,
            self.view,
            self.record,
            Limits(1000, 64, 1.0),
            self.clock,
            self.meter,
            random.Random(1),
            self.assignments,
            self.shadow,
        )

    async def ask(self, ask: Ask) -> list[object]:
        return [part async for part in self.generator.generate(ask)]


async def test_text_streams_and_the_interaction_is_recorded_before_the_end(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    parts = []
    async for part in world.generator.generate(Ask(ASK)):
        if isinstance(part, Ended):
            assert len(world.record.kept) == 1
        parts.append(part)
    assert isinstance(parts[0], Started)
    assert "".join(part for part in parts if isinstance(part, str)) == "20 C"
    (kept,) = world.record.kept
    assert kept.status is AttemptStatus.COMPLETED
    assert kept.response == "20 C"
    assert (kept.interaction_id, kept.attempt_id) == (parts[0].interaction_id, parts[0].attempt_id)
    assert kept.served == parts[0].served


async def test_the_callers_interaction_id_is_kept_and_each_try_is_another_attempt(tmp_path: Path) -> None:
    """U24: a streaming client knows the id before the first token."""
    world = World(FakeEngine(), tmp_path)
    asked = Ask(replace(ASK, interaction_id="mine"))
    first, second = (await world.ask(asked))[0], (await world.ask(asked))[0]
    assert first.interaction_id == second.interaction_id == "mine"
    assert first.attempt_id != second.attempt_id


async def test_a_caller_that_leaves_frees_the_row_and_is_recorded_as_cancelled(tmp_path: Path) -> None:
    world = World(SlowEngine(), tmp_path)
    answering = world.generator.generate(Ask(ASK))
    assert isinstance(await anext(answering), Started)
    assert await anext(answering) == "20 "
    await answering.aclose()
    assert world.engine.rows[0].cancelled
    assert [(k.status, k.response) for k in world.record.kept] == [(AttemptStatus.CANCELLED, "20 ")]


async def test_an_engine_that_breaks_is_a_failed_attempt_recorded_once(tmp_path: Path) -> None:
    world = World(BrokenEngine(), tmp_path)
    with pytest.raises(RuntimeError):
        await world.ask(Ask(ASK))
    assert [(k.status, k.failure_reason) for k in world.record.kept] == [(AttemptStatus.FAILED, "INTERNAL")]


async def test_a_deadline_that_passes_while_writing_is_a_failed_attempt_recorded_once(tmp_path: Path) -> None:
    world = World(FakeEngine(reason="deadline"), tmp_path)
    with pytest.raises(DeadlineExceeded):
        await world.ask(Ask(ASK))
    assert [k.failure_reason for k in world.record.kept] == ["DEADLINE_EXCEEDED"]


async def test_a_refused_call_is_no_attempt(tmp_path: Path) -> None:
    world = World(FakeEngine(full=True), tmp_path)
    with pytest.raises(QueueFull):
        await world.ask(Ask(ASK))
    assert world.record.kept == []


async def test_an_unlogged_answer_leaves_nothing_behind(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    await world.ask(Ask(ASK, forced=Served(version="assist-base"), unlogged=True))
    assert world.record.kept == []
    assert world.meter.arms == []


async def test_the_canary_serves_while_its_lease_lives_and_stable_after(tmp_path: Path) -> None:
    """U05: failing to stable by itself."""
    world = World(FakeEngine(), tmp_path, weight=1.0)
    before = (await world.ask(Ask(ASK)))[0].served
    world.clock.advance(30.0)
    after = (await world.ask(Ask(ASK)))[0].served
    assert (before.arm, before.digest) == (ArmKind.CANARY, world.canary.digest)
    assert (after.arm, after.version) == (ArmKind.STABLE, "assist-base")
    assert [s.arm for s in world.meter.arms] == [ArmKind.CANARY, ArmKind.STABLE]


async def test_a_full_spool_serves_stable_and_says_forced(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path, weight=1.0)
    world.record.full = True
    served = (await world.ask(Ask(ASK)))[0].served
    assert served.arm is ArmKind.STABLE
    assert served.forced


async def test_samples_have_seeds_of_their_own_and_are_not_recorded(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    version, answers = await world.generator.sample(ASK.messages, Sampling(1.0, seed=7), 3, "", None)
    assert version.version == "assist-base"
    assert len(answers) == 3
    assert [row.sampling.seed for row in world.engine.rows] == [7, 8, 9]
    assert all(row.background for row in world.engine.rows)
    assert world.record.kept == []


async def test_what_may_not_be_asked_for_does_not_reach_the_engine(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    for asked in (replace(ASK, messages=()), replace(ASK, turn=-1), replace(ASK, sampling=Sampling(top_p=2.0))):
        with pytest.raises(InvalidArgument):
            await world.ask(Ask(asked))
    with pytest.raises(InvalidArgument):
        await world.ask(Ask(ASK, forced=Served(version="assist-base", propensity=2.0)))
    assert world.engine.rows == []
    assert world.record.kept == []


async def test_a_caller_who_leaves_while_the_disk_is_at_it_is_recorded_once_as_completed(tmp_path: Path) -> None:
    """F07: a second body under the attempt's id would be a conflict."""
    record = SlowRecord()
    world = World(FakeEngine(), tmp_path, record=record)
    asking = asyncio.create_task(world.ask(Ask(ASK)))
    while not record.waiting:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [k.status for k in record.kept] == [AttemptStatus.COMPLETED]


async def test_a_call_cut_off_at_its_deadline_has_failed_and_was_not_cancelled(tmp_path: Path) -> None:
    world = World(SlowEngine(), tmp_path)
    answering = world.generator.generate(Ask(ASK, deadline=world.clock.monotonic() + 5.0))
    await anext(answering)
    await anext(answering)
    world.clock.advance(5.0)
    await answering.aclose()
    assert [(k.status, k.failure_reason) for k in world.record.kept] == [(AttemptStatus.FAILED, "DEADLINE_EXCEEDED")]


async def test_the_record_carries_when_this_service_took_it(tmp_path: Path) -> None:
    """F07: a record that waits in the spool keeps its day, so that a late second copy still meets the first."""
    world = World(FakeEngine(), tmp_path)
    await world.ask(Ask(ASK))
    assert world.record.kept[0].accepted_at == world.clock.now()


async def test_seed_nought_draws_a_seed_and_records_it_and_an_evaluation_is_repeatable(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    for _ in range(2):
        await world.ask(Ask(replace(ASK, sampling=Sampling(1.0))))
    await world.ask(Ask(replace(ASK, sampling=Sampling(1.0, seed=9))))
    await world.ask(Ask(replace(ASK, sampling=Sampling(1.0)), forced=Served(version="assist-base"), unlogged=True))
    drawn, again, given, evaluated = [row.sampling.seed for row in world.engine.rows]
    assert len({drawn, again, 0}) == 3
    assert (given, evaluated) == (9, 0)
    assert [k.sampling.seed for k in world.record.kept] == [drawn, again, 9]


async def test_a_version_that_is_asked_for_by_name_is_loaded_and_one_that_is_not_there_is_refused(
    tmp_path: Path,
) -> None:
    world = World(FakeEngine(), tmp_path)
    version, _ = await world.generator.sample(ASK.messages, None, 1, "assist-r0001", None)
    assert version == world.canary
    version, log_probs, tokens = await world.generator.likelihood(ASK.messages, ["a b", "c"], "assist-r0001", None)
    assert (version, log_probs, tokens) == (world.canary, [-2.0, -1.0], [3, 2])
    for asked in (
        world.generator.sample(ASK.messages, None, 1, "assist-r0002", None),
        world.generator.likelihood(ASK.messages, ["a"], "assist-r0002", None),
        world.ask(Ask(ASK, forced=Served(version="assist-r0002"), unlogged=True)),
        world.ask(Ask(ASK, forced=Served(version="assist-r0002"))),
    ):
        with pytest.raises(NotFound):
            await asked
    assert world.record.kept == []


async def test_an_arm_that_a_gateway_assigned_and_is_not_here_falls_to_stable_and_says_so(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    asked = Served(version="assist-r0002", arm=ArmKind.CANARY, propensity=0.2, bucket=0.1)
    served = (await world.ask(Ask(ASK, forced=asked)))[0].served
    assert (served.arm, served.version, served.digest, served.forced) == (ArmKind.STABLE, "assist-base", "base", True)
    there = (await world.ask(Ask(ASK, forced=replace(asked, version="assist-r0001"))))[0].served
    assert (there.arm, there.digest, there.forced) == (ArmKind.CANARY, world.canary.digest, False)
    assert world.meter.arms == []


async def test_a_draw_is_counted_whatever_becomes_of_its_answer_and_its_record(tmp_path: Path) -> None:
    """U16: the count that the matured interactions are held against must not lose what they lose."""
    world = World(BrokenEngine(), tmp_path, weight=0.5)
    for i in range(40):
        with pytest.raises(RuntimeError):
            await world.ask(Ask(replace(ASK, user_id=f"u{i}")))
    world.engine.full = True
    world.engine.words = ()
    with pytest.raises((RuntimeError, QueueFull)):
        await world.ask(Ask(replace(ASK, user_id="u40")))
    ((weight, units, canary),) = world.assignments.drawn().counts
    assert (weight, units) == (0.5, 41)
    assert canary == world.meter.drawn.count(ArmKind.CANARY) > 5
    assert len(world.record.kept) == 40


async def test_forced_unlogged_and_repeated_draws_are_not_counted(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path, weight=0.5)
    await world.ask(Ask(ASK, forced=Served(version="assist-r0001", arm=ArmKind.CANARY, propensity=0.5)))
    await world.ask(Ask(ASK, unlogged=True))
    assert world.assignments.drawn().counts == ()
    world.record.full = True
    await world.ask(Ask(ASK))
    assert world.assignments.drawn().counts == ()
    world.record.full = False
    for _ in range(3):
        await world.ask(Ask(ASK))
    assert [units for _, units, _ in world.assignments.drawn().counts] == [1]
    assert len(world.meter.drawn) == 1


async def test_tokens_and_the_first_text_are_counted(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    await world.ask(Ask(ASK))
    assert [len(answer.tokens) for answer in world.meter.answers] == [2]
    assert len(world.meter.firsts) == 1


async def test_concurrent_callers_get_their_own_answers(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    answers = await asyncio.gather(*(world.ask(Ask(replace(ASK, interaction_id=str(i)))) for i in range(20)))
    assert [parts[0].interaction_id for parts in answers] == [str(i) for i in range(20)]
    assert sorted(k.interaction_id for k in world.record.kept) == sorted(str(i) for i in range(20))


class Forgetful(Versions):
    """Lets a version go as often as `lost` says just after it was named, as others that come do."""

    lost = 0

    def named(self, version: str) -> Version:
        found = super().named(version)
        if self.lost:
            self.lost -= 1
            self._unload(found.digest)
        return found


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_version_asked_for_by_name_that_is_let_go_before_it_is_held_is_loaded_again(
    tmp_path: Path, lost: int
) -> None:
    world = World(FakeEngine(), tmp_path)
    versions = world.generator._versions = Forgetful(world.artefacts, "assist", world.engine, "base", 2)
    versions.load(Version("assist-base", "base"))
    name = world.canary.version
    versions.lost = lost
    served, _ = await world.generator.sample(ASK.messages, ASK.sampling, 1, name, None)
    assert served == world.canary
    versions.lost = lost
    started = (await world.ask(Ask(ASK, forced=Served(version=name), unlogged=True)))[0]
    assert started.served.digest == world.canary.digest
    versions.lost = 100
    with pytest.raises(NotFound):
        await world.generator.sample(ASK.messages, ASK.sampling, 1, name, None)


async def test_what_was_asked_is_offered_to_the_shadow_when_it_was_answered_with_its_seed(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    async for part in world.generator.generate(Ask(ASK)):
        assert not world.shadow.offers, part
    (shown,) = world.shadow.offers
    (kept,) = world.record.kept
    assert list(shown.tokens) == [0]
    assert shown.interaction.sampling == kept.sampling
    assert shown.interaction.interaction_id == kept.interaction_id


async def test_it_is_offered_however_the_answer_ended(tmp_path: Path) -> None:
    """Long answers are those that are left or run out of time: without them the rest would be short."""
    for name in ("broken", "late", "left"):
        (tmp_path / name).mkdir()
    broken = World(BrokenEngine(), tmp_path / "broken")
    with pytest.raises(RuntimeError):
        await broken.ask(Ask(ASK))
    late = World(FakeEngine(reason="deadline"), tmp_path / "late")
    with pytest.raises(DeadlineExceeded):
        await late.ask(Ask(ASK))
    left = World(SlowEngine(), tmp_path / "left")
    parts = left.generator.generate(Ask(ASK))
    await anext(parts)
    await parts.aclose()
    assert [len(world.shadow.offers) for world in (broken, late, left)] == [1, 1, 1]


async def test_what_is_not_logged_or_was_assigned_by_others_is_not_offered(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    await world.ask(Ask(ASK, unlogged=True))
    await world.ask(Ask(ASK, forced=Served(arm=ArmKind.STABLE, propensity=1.0)))
    assert world.shadow.offers == []

"""policy/generator: every attempt that ran is recorded once, before its caller sees the end; refused ones are not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import DeadlineExceeded, EmptyField, InvalidArgument, QueueFull, TooLong
from rejoinder.core.types import ArmKind, AttemptStatus, Interaction, Message, Role, Sampling, Served
from rejoinder.policy.generator import Ask, Ended, Generator, Limits, Started
from rejoinder.policy.versions import ADAPTER_FILE, Versions
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.registry.store import FolderStore
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.backends.genai import Answer, Row

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

    def likelihood(self, context: Sequence[int], continuations: Sequence[Sequence[int]], adapter: str) -> Future:
        done: Future[list[float]] = Future()
        done.set_result([-1.0 * len(c) for c in continuations])
        return done

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


class World:
    """A generator with fakes around it and a canary in the registry."""

    def __init__(self, engine: FakeEngine, tmp_path: Path, weight: float | None = None) -> None:
        self.clock = ManualClock()
        self.engine = engine
        self.record = FakeRecord()
        self.assigned: list[Served] = []
        store = FolderStore(tmp_path / "registry")
        artefacts = Artefacts(store, tmp_path / "artefacts")
        made = tmp_path / "made"
        made.mkdir()
        (made / ADAPTER_FILE).write_bytes(b"adapter")
        self.canary = Version("assist-r0001", artefacts.put(made))
        artefacts.publish(Manifest("assist", "assist-r0001", self.canary.digest, base_digest="base"))
        self.artefacts = artefacts
        self.versions = Versions(artefacts, "assist", engine, "base")
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
        self.generator = Generator(
            engine, self.versions, self.view, self.record, Limits(1000, 64, 1.0), self.clock, self.assigned.append
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
    assert parts[1:3] == ["20 ", "C"]
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
    assert world.assigned == []


async def test_the_canary_serves_while_its_lease_lives_and_stable_after(tmp_path: Path) -> None:
    """U05: failing to stable by itself."""
    world = World(FakeEngine(), tmp_path, weight=1.0)
    before = (await world.ask(Ask(ASK)))[0].served
    world.clock.advance(30.0)
    after = (await world.ask(Ask(ASK)))[0].served
    assert (before.arm, before.digest) == (ArmKind.CANARY, world.canary.digest)
    assert (after.arm, after.version) == (ArmKind.STABLE, "assist-base")
    assert [s.arm for s in world.assigned] == [ArmKind.CANARY, ArmKind.STABLE]


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


async def test_bad_requests_are_refused_before_the_engine_hears_of_them(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    table = [
        ((), None, EmptyField),
        ((Message(Role.USER, "  "),), None, EmptyField),
        ((Message(Role.ASSISTANT, "hi"),), None, InvalidArgument),
        ((Message(Role.UNSPECIFIED, "x"), Message(Role.USER, "hi")), None, InvalidArgument),
        ((Message(Role.USER, "x" * 1001),), None, TooLong),
        (ASK.messages, Sampling(temperature=-1.0), InvalidArgument),
        (ASK.messages, Sampling(temperature=float("nan")), InvalidArgument),
        (ASK.messages, Sampling(top_p=1.5), InvalidArgument),
        (ASK.messages, Sampling(max_tokens=65), TooLong),
    ]
    for messages, sampling, error in table:
        with pytest.raises(error):
            await world.ask(Ask(replace(ASK, messages=messages, sampling=sampling)))
    assert world.engine.rows == []


async def test_concurrent_callers_get_their_own_answers(tmp_path: Path) -> None:
    world = World(FakeEngine(), tmp_path)
    answers = await asyncio.gather(*(world.ask(Ask(replace(ASK, interaction_id=str(i)))) for i in range(20)))
    assert [parts[0].interaction_id for parts in answers] == [str(i) for i in range(20)]
    assert sorted(k.interaction_id for k in world.record.kept) == sorted(str(i) for i in range(20))

"""The work: assign, generate, record. On plain values; no gRPC here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from rejoinder.core.arms import Version
from rejoinder.core.clock import Clock
from rejoinder.core.errors import DeadlineExceeded, EmptyField, NotFound, RejoinderError
from rejoinder.core.types import ArmKind, AttemptStatus, Interaction, Message, Sampling, Served
from rejoinder.policy.attempt import Attempt, Started
from rejoinder.policy.checks import Limits, check_forced, check_interaction, check_messages, checked_sampling
from rejoinder.policy.shadow import Shown
from rejoinder.policy.versions import Versions
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.drawing import draw, stable_instead
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.backends.rows import Answer, Row, Scoring

#: Loads of a version that is asked for by name, where others that come let it go before it is held.
_TRIES = 5
#: What knows the digest of a version.
V = TypeVar("V", Version, Served)


class Engine(Protocol):
    def encode_chat(self, messages: Sequence[Message]) -> list[int]: ...

    def encode(self, text: str) -> list[int]: ...

    def submit(self, rows: Sequence[Row]) -> None: ...

    def likelihood(
        self, context: Sequence[int], continuations: Sequence[Sequence[int]], adapter: str, deadline: float | None
    ) -> Scoring: ...


class Record(Protocol):
    """Where interactions go: the spool."""

    @property
    def full(self) -> bool: ...

    def put(self, interaction: Interaction) -> Future[bool]: ...


class Shadow(Protocol):
    """Who may have what was asked answered again, unseen."""

    def offer(self, shown: Shown) -> None: ...


class Meter(Protocol):
    """Who counts. assigned: an answer begun. drew: a unit that has not been drawn before in this rollout."""

    def assigned(self, served: Served) -> None: ...

    def drew(self, arm: ArmKind) -> None: ...

    def first_text(self, seconds: float) -> None: ...

    def answered(self, answer: Answer) -> None: ...


@dataclass(frozen=True)
class Ask:
    """What is asked for. forced: who serves it whatever the table says; unlogged: leaves no interaction behind."""

    interaction: Interaction
    forced: Served | None = None
    unlogged: bool = False
    deadline: float | None = None


@dataclass(frozen=True)
class Ended:
    status: AttemptStatus
    answer: Answer


class Generator:
    """owns: the random numbers that seeds are drawn from; all else is given."""

    def __init__(
        self,
        engine: Engine,
        versions: Versions,
        view: ArmsView,
        record: Record,
        limits: Limits,
        clock: Clock,
        meter: Meter,
        seeds: random.Random,
        assignments: AssignmentCounter,
        shadow: Shadow,
    ) -> None:
        self._engine = engine
        self._versions = versions
        self._view = view
        self._record = record
        self._limits = limits
        self._clock = clock
        self._meter = meter
        self._seeds = seeds
        self._assignments = assignments
        self._shadow = shadow

    async def generate(self, ask: Ask) -> AsyncIterator[Started | str | Ended]:
        """Started, then text as it comes, then Ended: which is given only when the interaction is on disk.

        A caller that goes away frees the row; the attempt is recorded as cancelled. Seed 0 draws one, except for an
        unlogged answer, which has to be repeatable.
        """
        asked = ask.interaction
        check_messages(asked.messages, self._limits)
        check_interaction(asked, self._clock.now())
        sampling = checked_sampling(asked.sampling, self._limits)
        if not sampling.seed and not ask.unlogged:
            sampling = replace(sampling, seed=self._seeds.getrandbits(63))
        tokens = await asyncio.to_thread(self._engine.encode_chat, asked.messages)
        with ExitStack() as held:
            if ask.forced is None:
                served, adapter = self._admitted(self._assigned(asked, ask.unlogged), held)
            else:
                served, adapter = await self._loaded(partial(self._forced, ask.forced, ask.unlogged), held)
            attempt = Attempt(
                replace(asked, served=served, sampling=sampling, prompt_tokens=len(tokens)), self._clock, ask.deadline
            )
            row = Row(tokens, sampling, adapter, ask.deadline, on_text=attempt.from_engine)
            row.done.add_done_callback(lambda done: attempt.from_engine(None))
            # A refused row is no attempt: under overload nothing is counted or recorded for it.
            self._engine.submit([row])
            if ask.forced is None and not ask.unlogged:
                self._meter.assigned(served)
            try:
                yield attempt.started
                async for text in attempt.texts():
                    yield text
                answer = row.done.result()
                if answer.finish_reason == "deadline":
                    raise DeadlineExceeded("the deadline passed while the answer was written")
                self._counted(answer, attempt)
                if not ask.unlogged:
                    await self._recorded(attempt, answer)
                attempt.over = True
                yield Ended(AttemptStatus.COMPLETED, answer)
            except RejoinderError as error:
                attempt.reason = error.reason
                raise
            except Exception:
                attempt.reason = "INTERNAL"
                raise
            finally:
                row.cancel()
                if not attempt.over and not ask.unlogged:
                    # Nobody waits for it; the drop counter tells if it was lost.
                    self._record.put(attempt.unfinished())
                # In whatever way it ended: whether a caller waits for the end is a matter of how long the answer is.
                if ask.forced is None and not ask.unlogged:
                    self._shadow.offer(Shown(attempt.asked, tokens))

    async def sample(
        self, messages: Sequence[Message], sampling: Sampling | None, n: int, version: str, deadline: float | None
    ) -> tuple[Version, list[Answer]]:
        """n answers of one version ("" = stable), each with its own seed; nothing is recorded."""
        check_messages(messages, self._limits)
        settings = checked_sampling(sampling, self._limits)
        tokens = await asyncio.to_thread(self._engine.encode_chat, messages)
        with ExitStack() as held:
            chosen, adapter = await self._loaded(partial(self._version, version), held)
            rows = [
                Row(tokens, replace(settings, seed=settings.seed + i), adapter, deadline, background=True)
                for i in range(n)
            ]
            self._engine.submit(rows)
            try:
                answers = await asyncio.gather(*(asyncio.wrap_future(row.done) for row in rows))
            finally:
                for row in rows:
                    row.cancel()
        if any(answer.finish_reason == "deadline" for answer in answers):
            raise DeadlineExceeded("the deadline passed while samples were written")
        for answer in answers:
            self._meter.answered(answer)
        return chosen, list(answers)

    async def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str, deadline: float | None
    ) -> tuple[Version, list[float], list[int]]:
        """log p (nats) and token counts of assistant continuations, their end included."""
        if not continuations:
            raise EmptyField("continuations")
        check_messages(messages, self._limits)
        context = await asyncio.to_thread(self._engine.encode_chat, messages)
        tokens = await asyncio.to_thread(lambda: [self._engine.encode(text) for text in continuations])
        with ExitStack() as held:
            chosen, adapter = await self._loaded(partial(self._version, version), held)
            asked = self._engine.likelihood(context, tokens, adapter, deadline)
            try:
                found = await asyncio.wrap_future(asked.done)
            finally:
                asked.cancel()
        return chosen, found, [len(t) + 1 for t in tokens]

    async def _loaded(self, find: Callable[[], Awaitable[V]], held: ExitStack) -> tuple[V, str]:
        """Who serves and the engine's name for it, which stays loaded while it is held. Raises NotFound."""
        for _ in range(_TRIES):
            found = await find()
            try:
                return found, held.enter_context(self._versions.use(found.digest))
            except NotFound:
                # It was let go between the two, by a version that came: it is loaded again.
                continue
        raise NotFound("the version is let go of as soon as it is loaded", version=found.version)

    async def _version(self, version: str) -> Version:
        """A version by name, loaded when it has to be; "" is stable."""
        if not version:
            return self._view.table.stable
        return await asyncio.to_thread(self._versions.named, version)

    async def _forced(self, forced: Served, unlogged: bool) -> Served:
        """What serves where somebody else assigned. An arm that cannot be served here falls to stable, said as such; a
        version that is asked for without an arm (an evaluation) is served or refused."""
        check_forced(forced)
        table = self._view.table
        try:
            chosen = await self._version(forced.version)
        except RejoinderError:
            if unlogged or forced.arm is ArmKind.UNSPECIFIED:
                raise
            stable = table.stable
            return replace(
                forced,
                policy=table.policy,
                version=stable.version,
                digest=stable.digest,
                arm=ArmKind.STABLE,
                forced=True,
            )
        return replace(forced, policy=table.policy, version=chosen.version, digest=chosen.digest)

    def _admitted(self, served: Served, held: ExitStack) -> tuple[Served, str]:
        """Who serves, and the engine's name for it, held while the answer is written."""
        try:
            return served, held.enter_context(self._versions.use(served.digest))
        except NotFound:
            # It was let go between the table and here.
            served = stable_instead(served, self._view.table)
            return served, held.enter_context(self._versions.use(served.digest))

    def _assigned(self, asked: Interaction, unlogged: bool) -> Served:
        """Draws the arm, and counts that it did before anything can become of the answer."""
        return draw(
            self._view,
            self._assignments,
            asked,
            now=self._clock.now(),
            loaded=self._versions.loaded,
            spool_has_room=not self._record.full,
            drew=None if unlogged else self._meter.drew,
        )

    def _counted(self, answer: Answer, attempt: Attempt) -> None:
        self._meter.answered(answer)
        if attempt.first is not None:
            self._meter.first_text(attempt.first)

    async def _recorded(self, attempt: Attempt, answer: Answer) -> None:
        done = self._record.put(attempt.finished(answer))
        # From here on it is recorded as completed, also when the caller leaves while the disk is at it.
        attempt.over = True
        await asyncio.wrap_future(done)

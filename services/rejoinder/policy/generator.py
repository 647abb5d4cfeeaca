"""The work: assign, generate, record. On plain values; no gRPC here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rejoinder.core.arms import Version
from rejoinder.core.clock import Clock
from rejoinder.core.errors import DeadlineExceeded, EmptyField, InvalidArgument, RejoinderError, TooLong
from rejoinder.core.ids import uuid7
from rejoinder.core.types import AttemptStatus, Interaction, Message, Role, Sampling, Served
from rejoinder.policy.versions import Versions
from rejoinder.rollout.assignment import Caller, assign
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.backends.genai import Answer, Row


class Engine(Protocol):
    def encode_chat(self, messages: Sequence[Message]) -> list[int]: ...

    def encode(self, text: str) -> list[int]: ...

    def submit(self, rows: Sequence[Row]) -> None: ...

    def likelihood(self, context: Sequence[int], continuations: Sequence[Sequence[int]], adapter: str) -> Any: ...


class Record(Protocol):
    """Where interactions go: the spool."""

    @property
    def full(self) -> bool: ...

    def put(self, interaction: Interaction) -> Future[bool]: ...


@dataclass(frozen=True)
class Limits:
    max_prompt_bytes: int
    max_tokens: int
    temperature: float


@dataclass(frozen=True)
class Ask:
    """What is asked for. forced: who serves it whatever the table says; unlogged: leaves no interaction behind."""

    interaction: Interaction
    forced: Served | None = None
    unlogged: bool = False
    deadline: float | None = None


@dataclass(frozen=True)
class Started:
    interaction_id: str
    attempt_id: str
    served: Served


@dataclass(frozen=True)
class Ended:
    status: AttemptStatus
    answer: Answer


class Generator:
    """owns: nothing; engine, versions, view and record are given.

    assigned: told the arm of every assignment, for the counter that does not depend on the log.
    """

    def __init__(
        self,
        engine: Engine,
        versions: Versions,
        view: ArmsView,
        record: Record,
        limits: Limits,
        clock: Clock,
        assigned: Callable[[Served], None],
    ) -> None:
        self._engine = engine
        self._versions = versions
        self._view = view
        self._record = record
        self._limits = limits
        self._clock = clock
        self._assigned = assigned

    async def generate(self, ask: Ask) -> AsyncIterator[Started | str | Ended]:
        """Started, then text as it comes, then Ended: which is given only when the interaction is on disk.

        A caller that goes away frees the row; the attempt is recorded as cancelled.
        """
        asked = ask.interaction
        sampling = self._checked(asked.messages, asked.sampling)
        tokens = await asyncio.to_thread(self._engine.encode_chat, asked.messages)
        served = self._served(ask)
        begun = self._clock.now()
        mono = self._clock.monotonic()
        started = Started(asked.interaction_id or uuid7(begun), uuid7(begun), served)
        loop = asyncio.get_running_loop()
        texts: asyncio.Queue[str | None] = asyncio.Queue()

        def from_engine(text: str | None) -> None:
            loop.call_soon_threadsafe(texts.put_nowait, text)

        row = Row(tokens, sampling, self._versions.adapter_of(served.digest), ask.deadline, on_text=from_engine)
        row.done.add_done_callback(lambda done: from_engine(None))
        attempt = replace(
            asked,
            event_id=started.attempt_id,
            interaction_id=started.interaction_id,
            attempt_id=started.attempt_id,
            served=served,
            sampling=sampling,
            occurred_at=begun,
            source=asked.source or "serve",
            prompt_tokens=len(tokens),
        )
        heard: list[str] = []
        first: float | None = None
        status, reason = AttemptStatus.CANCELLED, ""
        # A refused row is no attempt: under overload nothing is recorded for it.
        self._engine.submit([row])
        try:
            yield started
            while (text := await texts.get()) is not None:
                first = self._clock.monotonic() - mono if first is None else first
                heard.append(text)
                yield text
            answer = row.done.result()
            if answer.finish_reason == "deadline":
                raise DeadlineExceeded("the deadline passed while the answer was written")
            finished = replace(
                attempt,
                response=answer.text,
                status=AttemptStatus.COMPLETED,
                completion_tokens=len(answer.tokens),
                log_prob=answer.log_prob,
                latency=self._clock.monotonic() - mono,
                time_to_first_token=first,
            )
            if not ask.unlogged:
                await asyncio.wrap_future(self._record.put(finished))
            status = AttemptStatus.COMPLETED
            yield Ended(status, answer)
        except RejoinderError as error:
            status, reason = AttemptStatus.FAILED, error.reason
            raise
        except Exception:
            status, reason = AttemptStatus.FAILED, "INTERNAL"
            raise
        finally:
            row.cancel()
            if status is not AttemptStatus.COMPLETED and not ask.unlogged:
                self._failed(attempt, status, reason, heard, mono)

    async def sample(
        self, messages: Sequence[Message], sampling: Sampling | None, n: int, version: str, deadline: float | None
    ) -> tuple[Version, list[Answer]]:
        """n answers of one version ("" = stable), each with its own seed; nothing is recorded."""
        chosen = self._view.table.stable if not version else self._versions.named(version)
        settings = self._checked(messages, sampling)
        tokens = await asyncio.to_thread(self._engine.encode_chat, messages)
        adapter = self._versions.adapter_of(chosen.digest)
        rows = [
            Row(tokens, replace(settings, seed=settings.seed + i), adapter, deadline, background=True) for i in range(n)
        ]
        self._engine.submit(rows)
        try:
            return chosen, list(await asyncio.gather(*(asyncio.wrap_future(row.done) for row in rows)))
        finally:
            for row in rows:
                row.cancel()

    async def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> tuple[Version, list[float], list[int]]:
        """log p (nats) and token counts of assistant continuations, their end included."""
        if not continuations:
            raise EmptyField("continuations")
        self._check_messages(messages)
        chosen = self._view.table.stable if not version else self._versions.named(version)
        context = await asyncio.to_thread(self._engine.encode_chat, messages)
        tokens = [self._engine.encode(text) for text in continuations]
        found = self._engine.likelihood(context, tokens, self._versions.adapter_of(chosen.digest))
        return chosen, await asyncio.wrap_future(found), [len(t) + 1 for t in tokens]

    def _served(self, ask: Ask) -> Served:
        table = self._view.table
        if ask.forced is not None:
            named = self._versions.named(ask.forced.version) if ask.forced.version else table.stable
            return replace(ask.forced, policy=table.policy, version=named.version, digest=named.digest)
        asked = ask.interaction
        caller = Caller(
            asked.tenant, asked.user_id, asked.conversation_id, asked.interaction_id, asked.conversation_started_at
        )
        served = assign(
            table,
            caller,
            now=self._clock.now(),
            lease_ok=self._view.grant().ok,
            loaded=self._versions.loaded,
            spool_has_room=not self._record.full,
        ).served(table)
        self._assigned(served)
        return served

    def _checked(self, messages: Sequence[Message], sampling: Sampling | None) -> Sampling:
        self._check_messages(messages)
        if sampling is None:
            sampling = Sampling(temperature=self._limits.temperature, max_tokens=self._limits.max_tokens)
        if not 0 <= sampling.temperature <= 100 or not 0 <= sampling.top_p <= 1 or sampling.top_k < 0:
            raise InvalidArgument("sampling is out of range: temperature [0, 100], top_p [0, 1], top_k >= 0")
        if sampling.max_tokens < 0 or sampling.max_tokens > self._limits.max_tokens:
            raise TooLong("sampling.max_tokens", sampling.max_tokens, self._limits.max_tokens, "tokens")
        return replace(sampling, max_tokens=sampling.max_tokens or self._limits.max_tokens)

    def _check_messages(self, messages: Sequence[Message]) -> None:
        if not messages or not messages[-1].content.strip():
            raise EmptyField("messages")
        if messages[-1].role not in (Role.USER, Role.TOOL):
            raise InvalidArgument("the last message must be the user's", field="messages")
        if any(m.role is Role.UNSPECIFIED for m in messages):
            raise InvalidArgument("every message needs a role", field="messages.role")
        size = sum(len(m.content.encode()) for m in messages)
        if size > self._limits.max_prompt_bytes:
            raise TooLong("messages", size, self._limits.max_prompt_bytes)

    def _failed(self, attempt: Interaction, status: AttemptStatus, reason: str, heard: list[str], mono: float) -> None:
        """Records an attempt that did not complete; nobody waits for it, the drop counter tells if it was lost."""
        self._record.put(
            replace(
                attempt,
                response="".join(heard),
                status=status,
                failure_reason=reason,
                latency=self._clock.monotonic() - mono,
            )
        )

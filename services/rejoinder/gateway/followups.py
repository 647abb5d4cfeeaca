"""What a user says behind an answer is its follow-up, and the next request of a conversation brings it unasked.

The request names its answer as observe's do: by the interaction or the turn where its headers say them, else by the
digest of the history's last answer. The ledger joins it under its own rules (same tenant and user, 24 hours), so any
replica may have served that answer, before or after a restart, and nothing of a conversation is kept here.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from rejoinder.clients.feedback import RecordResult
from rejoinder.core.clock import Clock
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.ids import answer_digest, derived_id, digest_of_text
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Feedback, FollowUp, Interaction, Role

#: Between two looks at what waits: bounds what a follow-up is late, and makes batches under load.
_EVERY_S = 0.2
#: Events and bytes of one request: a quarter of what gRPC takes by default, so of what proxies do. Ingest takes no text
#: that is larger.
_AT_ONCE, _REQUEST_BYTES = 200, 1024 * 1024
#: Bytes that wait in memory while the log is away.
_MAX_BYTES = 16 * 1024 * 1024
_DEADLINE_S = 10.0
_DAY_S = 86_400


def follow_up_of(said: Interaction, now: float) -> Feedback | None:
    """The follow-up in a request of its principal, None without one. now: seconds since the epoch.

    Its id says what was said about which answer at which place, so that a request that is tried again or answered anew
    has it once, whatever else changed in its history. accepted_at: it was said before this request's answer.
    """
    roles = [message.role for message in said.messages]
    if said.turn == 1 or Role.ASSISTANT not in roles:
        return None
    answered = len(roles) - 1 - roles[::-1].index(Role.ASSISTANT)
    # A greeting that nobody asked for is no answer of ours.
    if Role.USER not in roles[:answered]:
        return None
    words = [m.content for m in said.messages[answered + 1 :] if m.role is Role.USER and m.content.strip()]
    answer = said.messages[answered].content
    about: dict[str, Any] = {"interaction_id": said.parent_interaction_id, "conversation_id": said.conversation_id}
    if said.conversation_id and said.turn:
        about["turn"] = said.turn - 1
    if answer.strip():
        about["answer_digest"] = answer_digest(answer)
    if not words or not any(about.get(name) for name in ("interaction_id", "turn", "answer_digest")):
        return None
    text = "\n\n".join(words)
    who = (said.tenant, said.user_id or said.principal)
    # Without its name a conversation is known by how it reads, and the same may be read again another day.
    where = said.conversation_id or f"day {int(now // _DAY_S)}"
    place = (said.parent_interaction_id, str(roles.count(Role.USER)), about.get("answer_digest", ""))
    return Feedback(
        tenant=said.tenant,
        event_id=derived_id("gateway-follow-up", *who, where, *place, digest_of_text(text)),
        user_id=said.user_id,
        principal=said.principal,
        accepted_at=now,
        consent=said.consent,
        source=said.source,
        kind=FollowUp(text),
        **about,
    )


class Log(Protocol):
    """Where feedback goes."""

    async def record_feedback(
        self, events: Sequence[Feedback], deadline_s: float | None = None
    ) -> list[RecordResult]: ...


class FollowUps:
    """Follow-ups on their way to the log. No request waits for them, or fails with them. owns: those that wait.

    as_callers: answers are recorded under their callers' names, not the gateway's; so are these.
    """

    def __init__(self, log: Log, clock: Clock, metrics: Metrics, as_callers: bool) -> None:
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._as_callers = as_callers
        self._waiting: deque[tuple[Feedback, int]] = deque()
        self._bytes = 0

    def heard(self, said: Interaction) -> None:
        """Of every chat request."""
        found = follow_up_of(said, self._clock.now())
        if found is None:
            return
        assert isinstance(found.kind, FollowUp)
        size = 512 + len(found.kind.text.encode("utf-8", "replace"))
        if size > _REQUEST_BYTES or self._bytes + size > _MAX_BYTES:
            self._count("DROPPED")
            return
        self._waiting.append((found if self._as_callers else replace(found, principal=""), size))
        self._bytes += size

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until told to stop; what the log does not take now is sent again."""
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY_S)
            await self._send(_DEADLINE_S)

    async def flush(self, drain_s: float) -> None:
        """The last try; what is left is counted and gone."""
        await self._send(drain_s)
        self._count("DROPPED", len(self._waiting))
        self._waiting.clear()

    async def _send(self, deadline_s: float) -> None:
        while self._waiting:
            batch = self._batch()
            try:
                results = await self._log.record_feedback(batch, deadline_s)
            except InvalidArgument:
                self._count("REJECTED", len(batch))
            except Exception:
                # Away, busy, a token that is being replaced: whatever it is, it is no request's matter.
                return
            else:
                for outcome, count in Counter(map(_outcome, results)).items():
                    self._count(outcome, count)
            for _ in batch:
                self._bytes -= self._waiting.popleft()[1]

    def _batch(self) -> list[Feedback]:
        batch: list[Feedback] = []
        size = 0
        for event, bytes_ in self._waiting:
            if batch and (len(batch) == _AT_ONCE or size + bytes_ > _REQUEST_BYTES):
                break
            batch.append(event)
            size += bytes_
        return batch

    def _count(self, outcome: str, count: int = 1) -> None:
        self._metrics["gateway_follow_ups_total"].labels(outcome).inc(count)


def _outcome(result: RecordResult) -> str:
    # The same words about the same answer under other headers: the first copy stands.
    return "DUPLICATE" if result.reason == "EVENT_ID_CONFLICT" else result.outcome.value

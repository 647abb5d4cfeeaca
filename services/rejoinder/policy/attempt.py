"""One execution of Generate: what it says to its caller, and what it leaves in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TypedDict

from rejoinder.core.clock import Clock
from rejoinder.core.ids import uuid7
from rejoinder.core.types import AttemptStatus, Interaction, Served
from rejoinder.runtime.backends.rows import Answer


class _Times(TypedDict):
    accepted_at: float
    latency: float
    time_to_first_token: float | None


@dataclass(frozen=True)
class Started:
    interaction_id: str
    attempt_id: str
    served: Served


class Attempt:
    """An execution from the moment its row is made. owns: what was heard of it so far. Belongs to one event loop."""

    def __init__(self, asked: Interaction, clock: Clock, deadline: float | None) -> None:
        self._clock = clock
        self._deadline = deadline
        self._began = clock.monotonic()
        self._loop = asyncio.get_running_loop()
        self._heard: list[str] = []
        self._coming: asyncio.Queue[str | None] = asyncio.Queue()
        now = clock.now()
        attempt_id = uuid7(now)
        self._interaction = replace(
            asked,
            event_id=attempt_id,
            interaction_id=asked.interaction_id or uuid7(now),
            attempt_id=attempt_id,
            occurred_at=now,
            source=asked.source or "serve",
        )
        #: Seconds until the first text, None before it.
        self.first: float | None = None
        #: Why it failed, "" when it was cancelled.
        self.reason = ""
        #: True once its record was put.
        self.over = False

    @property
    def started(self) -> Started:
        served = self._interaction.served
        assert served is not None
        return Started(self._interaction.interaction_id, self._interaction.attempt_id, served)

    @property
    def asked(self) -> Interaction:
        """What was asked, of whom, and who serves it."""
        return self._interaction

    def from_engine(self, text: str | None) -> None:
        """Called on the engine's thread; None: there will be no more."""
        self._loop.call_soon_threadsafe(self._coming.put_nowait, text)

    async def texts(self) -> AsyncIterator[str]:
        """Text as it comes; what came meanwhile is given together."""
        over = False
        while not over:
            parts = [await self._coming.get()]
            while not self._coming.empty():
                parts.append(self._coming.get_nowait())
            over = None in parts
            text = "".join(part for part in parts if part is not None)
            if text:
                self.first = self._clock.monotonic() - self._began if self.first is None else self.first
                self._heard.append(text)
                yield text

    def finished(self, answer: Answer) -> Interaction:
        return replace(
            self._interaction,
            response=answer.text,
            status=AttemptStatus.COMPLETED,
            completion_tokens=len(answer.tokens),
            log_prob=answer.log_prob,
            **self._times(),
        )

    def unfinished(self) -> Interaction:
        """What there is of an answer that failed, ran out of time, or whose caller left."""
        late = self._deadline is not None and self._clock.monotonic() >= self._deadline
        reason = self.reason or ("DEADLINE_EXCEEDED" if late else "")
        status = AttemptStatus.FAILED if reason else AttemptStatus.CANCELLED
        response = "".join(self._heard)
        return replace(self._interaction, response=response, status=status, failure_reason=reason, **self._times())

    def _times(self) -> _Times:
        """accepted_at: this service answers for the record from here on, however long its way to the log is."""
        latency = self._clock.monotonic() - self._began
        return {"accepted_at": self._clock.now(), "latency": latency, "time_to_first_token": self.first}

"""Ingestion: each item is checked, stamped, handed to the log, and answered when the log has it.

Ids that are empty are made: the event id is a UUIDv7, an interaction's own ids are its event id. They follow from
what the caller sent, so that a retry under the same event id is the same event, here and in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeVar

from rejoinder.core.clock import Clock
from rejoinder.core.errors import EmptyField, InvalidArgument, TooLong
from rejoinder.core.ids import uuid7
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Coordinate, Feedback, Interaction, RecordOutcome
from rejoinder.feedback.settings import LimitSettings
from rejoinder.feedback.validate import check_event
from rejoinder.runtime.call import Call
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import Appended, Log

Event = TypeVar("Event", Interaction, Feedback)

#: Who writes the records, as their CloudEvents source.
SOURCE = "rejoinder/feedback"

#: What remains of the dedupe time when an event is refused as expired: a redelivery on its way meets its first copy.
_EXPIRY_MARGIN_S = 86_400.0


@dataclass(frozen=True)
class ItemResult:
    """What became of one item; reason is an ErrorReason without its prefix, "" unless rejected."""

    event_id: str
    outcome: RecordOutcome = RecordOutcome.REJECTED
    interaction_id: str = ""
    reason: str = ""
    field: str = ""
    coordinate: Coordinate | None = None


class Ingest:
    """owns: nothing; the log is given and closed by whoever opened it."""

    def __init__(self, log: Log, limits: LimitSettings, dedupe_s: float, clock: Clock, metrics: Metrics) -> None:
        self._log = log
        self._limits = limits
        self._oldest_s = dedupe_s - _EXPIRY_MARGIN_S
        self._clock = clock
        self._metrics = metrics

    async def record(
        self, topic: str, items: Sequence[tuple[str, Event | InvalidArgument]], call: Call
    ) -> list[ItemResult]:
        """Results in the order of the items; returns when every recorded one is durable.

        items: (event id, event or why it could not be decoded). Raises EmptyField and TooLong for the whole request,
        LogUnavailable, DiskFull or QueueFull when the log took none of it.
        """
        if not items:
            raise EmptyField("events")
        if len(items) > self._limits.max_items:
            raise TooLong("events", len(items), self._limits.max_items, "items")
        prepared = [self._prepared(event_id, item, call) for event_id, item in items]
        events = [item for item in prepared if not isinstance(item, ItemResult)]
        appended = iter(await self._append(events, call) if events else ())
        results = [item if isinstance(item, ItemResult) else _result(item, next(appended)) for item in prepared]
        self._count(topic, results)
        return results

    def _prepared(self, event_id: str, item: Event | InvalidArgument, call: Call) -> Event | ItemResult:
        now = self._clock.now()
        try:
            if isinstance(item, InvalidArgument):
                raise item
            check_event(item, self._limits, now)
        except InvalidArgument as error:
            return ItemResult(event_id, reason=error.reason, field=error.metadata.get("field", ""))
        if item.accepted_at is not None and item.accepted_at < now - self._oldest_s:
            return ItemResult(event_id, reason="EXPIRED", field="accepted_at")
        return self._stamped(_with_ids(item, now), call, now)

    def _stamped(self, event: Event, call: Call, now: float) -> Event:
        """accepted_at and principal are ours to say; one of our own services has said them where it took the event."""
        ours = "internal" in call.roles
        accepted_at = event.accepted_at if ours and event.accepted_at is not None else now
        return replace(
            event,
            tenant=event.tenant or "default",
            accepted_at=min(accepted_at, now),
            principal=event.principal if ours and event.principal else call.principal,
        )

    async def _append(self, events: Sequence[Interaction | Feedback], call: Call) -> Sequence[Appended]:
        started = self._clock.monotonic()
        future = self._log.append([record_of(event, SOURCE, call.traceparent) for event in events])
        appended = await _durable(future)
        self._metrics["ingest_commit_s"].observe(self._clock.monotonic() - started)
        return appended

    def _count(self, topic: str, results: Sequence[ItemResult]) -> None:
        self._metrics["ingest_request_items"].labels(topic).observe(len(results))
        for result in results:
            self._metrics["ingest_items_total"].labels(topic, result.outcome.value).inc()
            if result.reason:
                self._metrics["ingest_rejected_total"].labels(topic, result.reason).inc()


async def _durable(future: Future[Sequence[Appended]]) -> Sequence[Appended]:
    """Waits for the log. A caller who leaves must not cancel a commit that others' records share: hence the shield."""
    waiting = asyncio.wrap_future(future)
    # Looked at here, so that a failure after the caller has left is no "exception was never retrieved".
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(waiting)


def _with_ids(event: Event, now: float) -> Event:
    event_id = event.event_id or uuid7(now)
    if isinstance(event, Feedback):
        return replace(event, event_id=event_id)
    return replace(
        event,
        event_id=event_id,
        interaction_id=event.interaction_id or event_id,
        attempt_id=event.attempt_id or event_id,
    )


def _result(event: Interaction | Feedback, appended: Appended) -> ItemResult:
    made = ItemResult(event.event_id, interaction_id=event.interaction_id, coordinate=appended.coordinate)
    if appended.outcome == "conflict":
        return replace(made, reason="EVENT_ID_CONFLICT", field="event_id")
    outcome = RecordOutcome.RECORDED if appended.outcome == "recorded" else RecordOutcome.DUPLICATE
    return replace(made, outcome=outcome)

"""Ingestion: each item is checked, stamped, handed to the log, and answered when the log has it.

Ids that are empty are made: the event id is a UUIDv7, an interaction's own ids are its event id. They follow from
what the caller sent, so that a retry under the same event id is the same event, here and in the ledger.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple, TypeVar

from rejoinder.core.clock import Clock
from rejoinder.core.errors import EmptyField, InvalidArgument, Quota, TooLong
from rejoinder.core.ids import uuid7
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Coordinate, Feedback, Interaction, Label, RecordOutcome, Signal, changed
from rejoinder.feedback.labels import check_label, signal_of
from rejoinder.feedback.quotas import Admitted, Quotas
from rejoinder.feedback.redact import Redactor
from rejoinder.feedback.settings import LimitSettings
from rejoinder.feedback.validate import check_event
from rejoinder.runtime.call import Call
from rejoinder.runtime.ended import Ended
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import Appended, Log

Event = TypeVar("Event", Interaction, Feedback)

#: Who writes the records, as their CloudEvents source.
SOURCE = "rejoinder/feedback"

#: What remains of the dedupe time when an event is refused as expired: a redelivery on its way meets its first copy.
_EXPIRY_MARGIN_S = 86_400.0

_OUTCOMES = {"recorded": RecordOutcome.RECORDED, "duplicate": RecordOutcome.DUPLICATE}

#: Requests that are redacted at once. A thread takes the interpreter from the event loop for milliseconds, so no more
#: than a few; and of their own, so that long texts do not keep the steps of workers (CommitStep) from a thread.
_REDACTING = 3


class ItemResult(NamedTuple):
    """What became of one item; reason is an ErrorReason without its prefix, "" unless rejected."""

    event_id: str
    outcome: RecordOutcome = RecordOutcome.REJECTED
    interaction_id: str = ""
    reason: str = ""
    field: str = ""
    coordinate: Coordinate | None = None


class _Bill(NamedTuple):
    """Of one request. places: of the items that were held against quotas."""

    places: Sequence[int]
    admitted: Admitted


class Ingest:
    """owns: the waits for the log, and the threads of redaction, begun when needed; the log is given and closed by
    whoever opened it.

    redactor: None records texts as they come. quotas: None takes whatever comes.
    """

    def __init__(
        self,
        log: Log,
        limits: LimitSettings,
        dedupe_s: float,
        clock: Clock,
        metrics: Metrics,
        redactor: Redactor | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._log = log
        self._quotas = quotas
        self._redactor = redactor
        self._threads = ThreadPoolExecutor(_REDACTING, "redact")
        self._limits = limits
        self._oldest_s = dedupe_s - _EXPIRY_MARGIN_S
        self._clock = clock
        self._metrics = metrics
        # A label's child is looked for under a lock, and there are few.
        self._sizes = cache(metrics["ingest_request_items"].labels)
        self._items = cache(metrics["ingest_items_total"].labels)
        self._commits = metrics["ingest_commit_s"]
        self._ended = Ended()

    async def record(
        self, topic: str, items: Sequence[tuple[str, Event | InvalidArgument]], call: Call
    ) -> list[ItemResult]:
        """Results in the order of the items; returns when every recorded one is durable.

        items: (event id, event or why it could not be decoded). Raises EmptyField and TooLong for the whole request,
        LogUnavailable, DiskFull or QueueFull when the log took none of it, Quota where all of it is over a limit.
        """
        if not items:
            raise EmptyField("events")
        if len(items) > self._limits.max_items:
            raise TooLong("events", len(items), self._limits.max_items, "items")
        prepared = [self._prepared(event_id, item, call) for event_id, item in items]
        bill = None
        if self._quotas is not None:
            prepared, bill = self._within_quotas(self._quotas, [item for _, item in items], prepared, call)
        events = [item for item in prepared if not isinstance(item, ItemResult)]
        future: Future[Sequence[Appended]] | None = None
        try:
            if self._redactor is not None and events:
                redacted = asyncio.get_running_loop().run_in_executor(
                    self._threads, self._redacted, self._redactor, events
                )
                events = await redacted
            if events:
                future = self._log.append([record_of(event, SOURCE, call.traceparent) for event in events])
            results = _results(prepared, () if future is None else await self._durable(future))
        except asyncio.CancelledError:
            self._left(bill, prepared, future)
            raise
        except BaseException:
            self._settle(bill, ())
            raise
        self._settle(bill, results)
        self._count(topic, results)
        return results

    async def record_labels(self, items: Sequence[tuple[str, Label | InvalidArgument]], call: Call) -> list[ItemResult]:
        """As record, of people's labels: they hold no words, and quotas are of events."""
        if not items:
            raise EmptyField("events")
        if len(items) > self._limits.max_items:
            raise TooLong("events", len(items), self._limits.max_items, "items")
        prepared = [self._labelled(event_id, item, call) for event_id, item in items]
        signals = [item for item in prepared if isinstance(item, Signal)]
        appended: Sequence[Appended] = ()
        if signals:
            appended = await self._durable(self._log.append([record_of(s, SOURCE, call.traceparent) for s in signals]))
        results = _results(prepared, appended)
        self._count("signals", results)
        return results

    def _labelled(self, event_id: str, item: Label | InvalidArgument, call: Call) -> Signal | ItemResult:
        try:
            if isinstance(item, InvalidArgument):
                raise item
            check_label(item)
        except InvalidArgument as error:
            return ItemResult(event_id, reason=error.reason, field=error.metadata.get("field", ""))
        return signal_of(item, call.principal, self._clock.now())

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
        return _stamped(item, call, now)

    def _within_quotas(
        self, quotas: Quotas, given: Sequence[Any], prepared: Sequence[Event | ItemResult], call: Call
    ) -> tuple[list[Event | ItemResult], _Bill | None]:
        """Items over a limit as refused ones, and what is owed for the others. given: the items as they came, with the
        stamps of our own services."""
        ours = "internal" in call.roles
        asked = {
            place: item
            for place, item in enumerate(prepared)
            if not isinstance(item, ItemResult) and not (ours and given[place].accepted_at is not None)
        }
        places, out = list(asked), list(prepared)
        if not places:
            return out, None
        bill = None
        try:
            admitted = quotas.admit(list(asked.values()), call.principal, self._clock.monotonic())
            limits, bill = admitted.refused, _Bill(places, admitted)
        except Quota as error:
            if len(places) == sum(not isinstance(item, ItemResult) for item in prepared):
                self._metrics["ingest_limited_total"].labels(error.metadata["limit"]).inc(len(places))
                raise
            limits = [error.metadata["limit"]] * len(places)
        for place, limit in zip(places, limits, strict=True):
            if limit:
                self._metrics["ingest_limited_total"].labels(limit).inc()
                out[place] = ItemResult(prepared[place].event_id, reason="QUOTA")
        return out, bill

    def _settle(self, bill: _Bill | None, results: Sequence[ItemResult]) -> None:
        """results: of all items, () where the log took none."""
        if self._quotas is not None and bill is not None:
            recorded = [bool(results) and results[at].outcome is RecordOutcome.RECORDED for at in bill.places]
            self._quotas.settle(bill.admitted, recorded, self._clock.monotonic())

    def _left(
        self, bill: _Bill | None, prepared: Sequence[Event | ItemResult], future: Future[Sequence[Appended]] | None
    ) -> None:
        """Of a caller who left: charged for as long as its events are on their way, then for what the log took."""
        if future is None or bill is None:
            self._settle(bill, ())
            return
        loop = asyncio.get_running_loop()

        def settle(done: Future[Sequence[Appended]]) -> None:
            self._settle(bill, () if done.exception() is not None else _results(prepared, done.result()))

        def ended(done: Future[Sequence[Appended]]) -> None:
            # The loop was closed: nobody is charged any more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, done)

        future.add_done_callback(ended)

    def _redacted(self, redactor: Redactor, events: Sequence[Event]) -> list[Event]:
        """Beside the event loop: a thousand long texts take seconds."""
        out = []
        for event in events:
            redacted, counts = redactor.event(event)
            for kind, count in counts.items():
                self._metrics["ingest_redacted_total"].labels(kind).inc(count)
            out.append(redacted)
        return out

    async def _durable(self, future: Future[Sequence[Appended]]) -> Sequence[Appended]:
        started = self._clock.monotonic()
        appended = await self._ended.wait(future)
        self._commits.observe(self._clock.monotonic() - started)
        return appended

    def _count(self, topic: str, results: Sequence[ItemResult]) -> None:
        self._sizes(topic).observe(len(results))
        others = [result for result in results if result.outcome is not RecordOutcome.RECORDED]
        counts = Counter([(result.outcome, result.reason) for result in others])
        if len(others) < len(results):
            counts[RecordOutcome.RECORDED, ""] = len(results) - len(others)
        for (outcome, reason), count in counts.items():
            self._items(topic, outcome.value).inc(count)
            if reason:
                self._metrics["ingest_rejected_total"].labels(topic, reason).inc(count)


def _stamped(event: Event, call: Call, now: float) -> Event:
    """The event with its ids, and with what is ours to say: accepted_at and principal. One of our own services has said
    those where it took the event."""
    ours = "internal" in call.roles
    accepted_at = event.accepted_at if ours and event.accepted_at is not None else now
    event_id = event.event_id or uuid7(now)
    said: dict[str, Any] = {
        "event_id": event_id,
        "tenant": event.tenant or "default",
        "accepted_at": min(accepted_at, now),
        "principal": event.principal if ours and event.principal else call.principal,
    }
    if isinstance(event, Interaction):
        said["interaction_id"] = event.interaction_id or event_id
        said["attempt_id"] = event.attempt_id or event_id
    return changed(event, **said)


def _results(prepared: Sequence[Event | Signal | ItemResult], appended: Sequence[Appended]) -> list[ItemResult]:
    """appended: of those that are events, in their order."""
    told = iter(appended)
    return [item if isinstance(item, ItemResult) else _result(item, next(told)) for item in prepared]


def _result(event: Event | Signal, appended: Appended) -> ItemResult:
    if appended.outcome == "conflict":
        outcome, reason, field = RecordOutcome.REJECTED, "EVENT_ID_CONFLICT", "event_id"
    else:
        outcome, reason, field = _OUTCOMES[appended.outcome], "", ""
    return ItemResult(event.event_id, outcome, event.interaction_id, reason, field, appended.coordinate)

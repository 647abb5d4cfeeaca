"""`POST /v1/turns`, `POST /v1/feedback`: what applications send when a turn is over, acknowledged when the log has it.

    {"id": "…", "conversation_id": "…", "user": "…", "model": "…", "messages": […], "answer": "…"}

A turn is read by the same map as a topic's record, so it makes the same events. One alone is refused with a status;
of several (`{"turns": […]}`, or lines of JSON as `application/x-ndjson`) each has its outcome, in their order. What has
no id of its own is called by what it holds: a caller that tries again is counted once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadEncoding, EmptyField, InvalidArgument, NotFound, RejoinderError, TooLong
from rejoinder.core.ids import check_name, derived_id
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Feedback, Interaction, RecordOutcome
from rejoinder.gateway.errors import BadParameter
from rejoinder.gateway.feedback import OF_CALLERS, digest_said, event_of
from rejoinder.gateway.guard import Answer, HttpCall, json_object, json_of, media_of
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.mapped import Event, Mapper, Place, found_in_a_history, held
from rejoinder.runtime.call import LOCAL, Principal

#: Records as lines, each its own JSON.
LINES = "application/x-ndjson"
#: Why a record is not mapped → the reason that its sender is told.
REASONS = {"not_json": "UNREADABLE", "missing": "EMPTY_FIELD"}
#: Bodies above are parsed apart: what else is served does not wait for them.
_AT_ONCE_BYTES = 256 * 1024
#: How far an outcome is from what was wished: a turn's is the worst of its events'.
_WORSE = (RecordOutcome.RECORDED, RecordOutcome.DUPLICATE, RecordOutcome.REJECTED)

_T = TypeVar("_T")


class Sink(Protocol):
    """Where events go; durable on return."""

    async def record(self, events: Sequence[Event], deadline_s: float) -> Sequence[tuple[RecordOutcome, str, str]]:
        """(outcome, reason, field) of each. Raises where the log took none of a request's."""


class Refused(InvalidArgument):
    """A turn that came alone and was not taken."""

    def __init__(self, reason: str, field: str) -> None:
        super().__init__("the turn was not taken", field=field)
        self.reason = reason


@dataclass(frozen=True)
class Told:
    """What became of a record. outcome: RECORDED, DUPLICATE, REJECTED or SKIPPED. id: of its answer, "" without."""

    outcome: str
    reason: str = ""
    field: str = ""
    id: str = ""

    def row(self) -> dict[str, Any]:
        row = {"interaction_id": self.id, "outcome": self.outcome}
        return row | ({"reason": self.reason, "field": self.field} if self.reason else {})


class Taking:
    """Records through a map into the log. owns: nothing."""

    def __init__(self, sink: Sink, clock: Clock, metrics: Metrics) -> None:
        self._sink = sink
        self._clock = clock
        self._metrics = metrics

    async def take(
        self, records: Sequence[Any], mapper: Mapper, tenant: str, caller: Principal, deadline: float
    ) -> list[Told]:
        """deadline: of the clock's monotonic(). None among the records is one that could not be read. Raises where the
        log took nothing, or a part that is known the next time."""
        return await self.deliver([self._read(record, mapper) for record in records], tenant, caller, deadline)

    async def deliver(
        self, found: Sequence[Sequence[Event] | Told], tenant: str, caller: Principal, deadline: float
    ) -> list[Told]:
        """found: the events of each record, or why it has none."""
        events = [
            replace(event, tenant=tenant, principal=caller.name)
            for one in found
            if not isinstance(one, Told)
            for event in one
        ]
        told = iter(await self.sent(events, deadline))
        return [one if isinstance(one, Told) else _worst([(event, *next(told)) for event in one]) for one in found]

    async def sent(self, events: Sequence[Event], deadline: float) -> list[tuple[RecordOutcome, str, str]]:
        """Answers first, so that what was said about them finds them; outcomes in the order that was given."""
        out: dict[int, tuple[RecordOutcome, str, str]] = {}
        for topic, kind in (("interactions", Interaction), ("feedback", Feedback)):
            places = [place for place, event in enumerate(events) if isinstance(event, kind)]
            if not places:
                continue
            left = max(0.001, deadline - self._clock.monotonic())
            told = await self._sink.record([events[place] for place in places], left)
            for place, (outcome, reason, field) in zip(places, told, strict=True):
                self._metrics["observe_events_total"].labels(topic, outcome.value).inc()
                if outcome is RecordOutcome.REJECTED:
                    self._metrics["observe_refused_total"].labels(reason).inc()
                out[place] = (outcome, reason, field)
        return [out[place] for place in range(len(events))]

    def count(self, outcome: str, by: int = 1) -> None:
        self._metrics["observe_records_total"].labels(outcome).inc(by)

    def unmapped(self, cause: str) -> None:
        self.count("unmapped")
        self._metrics["observe_unmapped_total"].labels(cause).inc()

    def _read(self, record: Any, mapper: Mapper) -> tuple[Event, ...] | Told:
        try:
            if record is None:
                raise Unfit("no JSON object")
            found = mapper.read(record, Place(mapper.source, held(record), 0, 0))
        except Unfit as fault:
            cause = "not_json" if record is None else getattr(fault, "cause", "unusable")
            self.unmapped(cause)
            return Told("REJECTED", REASONS.get(cause, "INVALID_ARGUMENT"), getattr(fault, "field", ""))
        self.count("skipped" if found.skipped else "mapped")
        return Told("SKIPPED") if found.skipped else found.events


class Posted:
    """The handlers. mappers: by source. owns: nothing."""

    def __init__(
        self, taking: Taking, mappers: Mapping[str, Mapper], default: str, tenant: str, max_items: int
    ) -> None:
        self._taking = taking
        self._mappers = mappers
        self._default = default
        self._tenant = tenant
        self._max_items = max_items

    async def turns(self, call: HttpCall) -> Answer:
        """What became of each turn. Raises Refused for one that came alone and was not taken."""
        mapper = self._mappers.get(call.path.get("source", self._default))
        if mapper is None:
            raise NotFound("no such source: http.sources names them", field="source")
        tenant = tenant_of(call, self._tenant)
        records, alone = await _apart(call, lambda: _records(call, self._max_items))
        told = await self._taking.take(records, mapper, tenant, call.caller or LOCAL, call.deadline)
        if alone and told[0].outcome == RecordOutcome.REJECTED.value:
            raise Refused(told[0].reason, told[0].field)
        return Answer({"results": [one.row() for one in told]})

    async def reactions(self, call: HttpCall) -> Answer:
        """events.proto's Feedback in JSON, as a gateway takes it from a caller with credentials."""
        said = await _apart(call, lambda: json_object(call))
        items = said.get("events")
        if not isinstance(items, list) or set(said) != {"events"}:
            raise BadParameter("the body must be an object with one field, events, a list", "events", "invalid_type")
        _check_many("events", items, self._max_items)
        tenant, caller = tenant_of(call, self._tenant), call.caller or LOCAL
        prepared = [_reaction(item, tenant, caller) for item in items]
        events = [one for one in prepared if isinstance(one, Feedback)]
        told = iter(await self._taking.sent(events, call.deadline))
        rows = []
        for one in prepared:
            if isinstance(one, Feedback):
                outcome, reason, field = next(told)
                row = {"event_id": one.event_id, "outcome": outcome.value}
                rows.append(row | ({"reason": reason, "field": field} if reason else {}))
            else:
                rows.append(one)
            self._taking.count("unmapped" if rows[-1]["outcome"] == RecordOutcome.REJECTED.value else "mapped")
        return Answer({"results": rows})


def tenant_of(call: HttpCall, usual: str) -> str:
    """Whose data a request brings: the header's, else the deployment's where the caller may name it, else the caller's
    only one. Raises ForeignTenant, BadEncoding."""
    caller = call.caller or LOCAL
    named = call.headers.getlist("x-rejoinder-tenant")
    if len(named) > 1:
        raise BadEncoding("more than one x-rejoinder-tenant", field="x-rejoinder-tenant")
    tenant, theirs = named[0] if named else "", caller.tenants
    if not tenant:
        tenant = next(iter(theirs)) if theirs is not None and usual not in theirs and len(theirs) == 1 else usual
    check_name("tenant", tenant)
    caller.check_tenant(tenant)
    return tenant


async def _apart(call: HttpCall, parse: Callable[[], _T]) -> _T:
    return await asyncio.to_thread(parse) if len(call.body) > _AT_ONCE_BYTES else parse()


def _records(call: HttpCall, most: int) -> tuple[list[Any], bool]:
    """The turns of a request, and whether it is one that came alone. A line that is no JSON object is None. Raises
    EmptyField, TooLong."""
    if media_of(call.headers) == LINES:
        lines = [line for line in call.body.splitlines() if line.strip()]
        # Before one is parsed.
        _check_many("turns", lines, most)
        return [_line(line) for line in lines], False
    said = json_object(call, ("application/json", LINES))
    if set(said) == {"turns"} and isinstance(said["turns"], list):
        _check_many("turns", said["turns"], most)
        return [item if isinstance(item, dict) else None for item in said["turns"]], False
    return [said], True


def _line(line: bytes) -> dict[str, Any] | None:
    try:
        return json_of(line)
    except BadEncoding:
        return None


def _check_many(field: str, items: Sequence[Any], most: int) -> None:
    if not items:
        raise EmptyField(field)
    if len(items) > most:
        raise TooLong(field, len(items), most, "items")


def _reaction(item: Any, tenant: str, caller: Principal) -> Feedback | dict[str, Any]:
    try:
        event = event_of(item, OF_CALLERS)
        if event.tenant:
            caller.check_tenant(event.tenant)
        event = replace(event, tenant=event.tenant or tenant, source="observe", principal=caller.name)
        return event if event.event_id else replace(event, event_id=derived_id("posted", digest_said(event)))
    except RejoinderError as error:
        given = item.get("event_id") if isinstance(item, Mapping) else ""
        named = given[:256] if isinstance(given, str) else ""
        reason, field = error.reason, error.metadata.get("field", "")
        return {"event_id": named, "outcome": RecordOutcome.REJECTED.value, "reason": reason, "field": field}


def _worst(told: Sequence[tuple[Event, RecordOutcome, str, str]]) -> Told:
    """A turn's outcome. A follow-up that is found in two histories is the first's: that is no fault of the turn."""
    answers = [event for event, *_ in told if isinstance(event, Interaction)]
    identity = answers[0].interaction_id if answers else ""

    def leads(event: Event) -> bool:
        # Beside its answer, what was found in a history may well be known already.
        return not answers or isinstance(event, Interaction)

    worst = Told(RecordOutcome.RECORDED.value, id=identity)
    rank = 0
    for event, outcome, reason, field in told:
        if reason == "EVENT_ID_CONFLICT" and found_in_a_history(event):
            continue
        if _WORSE.index(outcome) > rank and (outcome is RecordOutcome.REJECTED or leads(event)):
            rank = _WORSE.index(outcome)
            worst = Told(outcome.value, reason, field, identity)
    return worst

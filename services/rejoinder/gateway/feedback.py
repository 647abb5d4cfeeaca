"""`POST /v1/feedback`: what pages and applications saw users do, acknowledged when the log has it.

    {"tokens": ["v1…"], "events": [{"event_id": "…", "interaction_id": "…", "rating": {"number": 1}}]}

An event is events.proto's Feedback in JSON: ids, `occurred_at`, and one kind. A caller with credentials says whom it is
about; a page has tokens, and its events are about what those name. Event ids of pages are put under the conversation's
own name, so that no page can take another's; without one the body is the id, and a repeated beacon counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import parse_qs

from google.protobuf import json_format

from rejoinder.clients.feedback import RecordResult
from rejoinder.core.clock import Clock
from rejoinder.core.codec import body_digest, from_proto
from rejoinder.core.errors import EmptyField, InvalidArgument, RejoinderError, TooLong, Unauthenticated
from rejoinder.core.ids import derived_id
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Comparison, Feedback
from rejoinder.gateway.errors import BadParameter
from rejoinder.gateway.guard import Answer, HttpCall, json_object, json_of, media_of
from rejoinder.gateway.tokens import Shown, Tokens
from rejoinder.runtime.call import Principal
from rejoinder.v1 import events_pb2

#: What browsers let a page send unasked, and JSON.
MEDIA = ("application/json", "text/plain", "application/x-www-form-urlencoded")
#: Answers that one request is about.
_MAX_TOKENS = 64
_FIELDS = frozenset({"tokens", "token", "events"})
_KINDS = frozenset(field.name for field in events_pb2.Feedback.DESCRIPTOR.oneofs_by_name["kind"].fields)
_OF_ALL = frozenset({"event_id", "interaction_id", "attempt_id", "occurred_at"}) | _KINDS
#: What a caller with credentials may say: that, and whom it is about.
OF_CALLERS = _OF_ALL | {"tenant", "user_id", "conversation_id", "turn", "answer_digest", "consent"}


class Log(Protocol):
    """Where feedback goes."""

    async def record_feedback(
        self, events: Sequence[Feedback], deadline_s: float | None = None
    ) -> list[RecordResult]: ...


class _Refused(Exception):
    """An item that is not sent. reason, field: as ingest says them."""

    def __init__(self, reason: str, field: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Collect:
    """owns: nothing. tokens: None where pages have none."""

    def __init__(self, log: Log, tokens: Tokens | None, max_items: int, clock: Clock, metrics: Metrics) -> None:
        self._log = log
        self._tokens = tokens
        self._max_items = max_items
        self._clock = clock
        self._metrics = metrics

    async def collect(self, call: HttpCall) -> Answer:
        """An outcome for each item, in their order. Raises where the log took none of them."""
        said = _said(call)
        shown = self._shown(said)
        if not shown and call.caller is None:
            raise Unauthenticated("feedback needs a feedback token, or a caller's credentials")
        results = [self._prepared(item, shown, call.caller) for item in self._items(said)]
        events = [result for result in results if isinstance(result, Feedback)]
        left = max(0.001, call.deadline - self._clock.monotonic())
        recorded = iter(await self._log.record_feedback(events, left) if events else ())
        rows = [_row(next(recorded)) if isinstance(result, Feedback) else result for result in results]
        for outcome, count in Counter(row["outcome"] for row in rows).items():
            self._metrics["gateway_feedback_total"].labels(outcome).inc(count)
        return Answer({"results": rows})

    def _shown(self, said: Mapping[str, Any]) -> list[Shown]:
        given = said.get("tokens", [said["token"]] if "token" in said else [])
        if not isinstance(given, list) or not all(isinstance(token, str) for token in given):
            raise BadParameter("tokens must be a list of feedback tokens", "tokens", "invalid_type")
        if len(given) > _MAX_TOKENS:
            raise TooLong("tokens", len(given), _MAX_TOKENS, "items")
        if given and self._tokens is None:
            raise Unauthenticated("this gateway hands out no feedback tokens")
        return [self._tokens.read(token) for token in given] if self._tokens is not None else []

    def _items(self, said: Mapping[str, Any]) -> list[Any]:
        items = said.get("events")
        if not isinstance(items, list):
            raise BadParameter("events must be a list", "events", "invalid_type")
        if not items:
            raise EmptyField("events")
        if len(items) > self._max_items:
            raise TooLong("events", len(items), self._max_items, "items")
        return items

    def _prepared(self, item: Any, shown: Sequence[Shown], caller: Principal | None) -> Feedback | dict[str, Any]:
        event_id = item.get("event_id") if isinstance(item, Mapping) else None
        event_id = event_id if isinstance(event_id, str) else ""
        try:
            if shown:
                return _of_page(event_of(item, _OF_ALL), shown)
            assert caller is not None
            event = event_of(item, OF_CALLERS)
            caller.check_tenant(event.tenant)
            return event if event.source else replace(event, source="front")
        except _Refused as refused:
            return _refusal(event_id, refused.reason, refused.field)
        except RejoinderError as error:
            return _refusal(event_id, error.reason, error.metadata.get("field", ""))


def event_of(item: Any, allowed: frozenset[str]) -> Feedback:
    """An event of its JSON. Raises InvalidArgument with the field at fault, never with what it holds."""
    if not isinstance(item, Mapping):
        raise InvalidArgument("an event must be an object", field="events")
    for name in item:
        if name not in allowed:
            raise InvalidArgument("an event has no such field, or it is not this caller's to say", field=name[:64])
    message = events_pb2.Feedback()
    try:
        json_format.ParseDict({name: value for name, value in item.items() if value is not None}, message)
        event = from_proto(message, Feedback)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError):
        raise InvalidArgument("an event is not as events.proto has it", field=_kind_of(item)) from None
    if event.kind is None:
        raise EmptyField("kind")
    return event


def _of_page(event: Feedback, shown: Sequence[Shown]) -> Feedback:
    """The event as a page may send it: about what it was shown, by whom it was shown to."""
    about = [one for one in shown if event.interaction_id in ("", one.interaction_id)]
    if len({one.interaction_id for one in about}) != 1:
        reason = "FOREIGN_TARGET" if event.interaction_id else "EMPTY_FIELD"
        raise _Refused(reason, "interaction_id")
    one = about[0]
    if event.attempt_id and event.attempt_id not in one.attempts:
        raise _Refused("FOREIGN_TARGET", "attempt_id")
    kind = event.kind
    if isinstance(kind, Comparison):
        others = [each for each in shown if each.interaction_id == kind.other_interaction_id]
        if not any(not kind.other_attempt_id or kind.other_attempt_id in each.attempts for each in others):
            raise _Refused("FOREIGN_TARGET", "comparison.other_interaction_id")
        if any((each.tenant, each.user_id) != (one.tenant, one.user_id) for each in others):
            raise _Refused("FOREIGN_TARGET", "comparison.other_interaction_id")
    attempt = event.attempt_id or (one.attempts[0] if len(one.attempts) == 1 else "")
    plain = replace(
        event,
        event_id="",
        tenant=one.tenant,
        user_id=one.user_id,
        conversation_id=one.conversation_id,
        interaction_id=one.interaction_id,
        attempt_id=attempt,
        source="browser",
    )
    where = (one.tenant, one.user_id, one.conversation_id, one.interaction_id)
    given = ("given", event.event_id) if event.event_id else ("body", digest_said(plain))
    return replace(plain, event_id=derived_id("browser", *where, *given))


def digest_said(event: Feedback) -> str:
    """By which an event without an id is called. Raises InvalidArgument for a number that is none."""
    try:
        return body_digest(event)
    except ValueError:
        raise InvalidArgument("an event holds a number that is none", field=event.kind_name) from None


def _said(call: HttpCall) -> dict[str, Any]:
    """The request as JSON, in whichever of the ways that a page can send it unasked."""
    given = media_of(call.headers)
    if given == "application/x-www-form-urlencoded":
        said = _form(call.body)
    elif given == "text/plain":
        said = json_of(call.body)
    else:
        said = json_object(call, MEDIA)
    for name in said:
        if name not in _FIELDS:
            raise BadParameter(f"Unknown parameter: {name[:64]!r}.", name[:64], "unknown_parameter")
    return said


def _form(body: bytes) -> dict[str, Any]:
    """A form with one field, `feedback`, that holds the JSON."""
    try:
        fields = parse_qs(
            body.decode("ascii"), strict_parsing=True, max_num_fields=4, encoding="utf-8", errors="strict"
        )
    except ValueError:
        fields = {}
    if set(fields) != {"feedback"} or len(fields["feedback"]) != 1:
        raise BadParameter("a form must have one field, feedback, that holds the JSON", "feedback")
    return json_of(fields["feedback"][0])


def _kind_of(item: Mapping[str, Any]) -> str:
    return next((name for name in item if name in _KINDS), "events")


def _row(result: RecordResult) -> dict[str, Any]:
    row = {"event_id": result.event_id, "outcome": result.outcome.value}
    if result.reason:
        row |= {"reason": result.reason, "field": result.field}
    return row


def _refusal(event_id: str, reason: str, field: str) -> dict[str, Any]:
    return {"event_id": event_id[:256], "outcome": "REJECTED", "reason": reason, "field": field}

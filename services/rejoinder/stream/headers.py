"""Record headers and keys: CloudEvents' Kafka protocol binding, binary mode (v1.0.2), plus W3C `traceparent`.

`record_of` is the one place where an event becomes a record: topic, ordering key, headers, identity, bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import Any

from rejoinder.core import arms, codec, types
from rejoinder.core.errors import BadEncoding, EmptyField
from rejoinder.stream.port import Identity, NewRecord, Record
from rejoinder.stream.topics import OWNABLE, TOPICS, kind_of

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
DEFAULT_TENANT = "default"


@dataclass(frozen=True)
class Envelope:
    """What the headers say. time: seconds since the epoch, None when not given. traceparent: "" when not given."""

    id: str
    type: str
    source: str
    time: float | None = None
    traceparent: str = ""


@dataclass(frozen=True)
class _Kind:
    """How one class of event lies on the log. id: the event's id. key: what of the ordering key stands after the
    tenant: a value, with the letter that keeps the name spaces apart. time: when it happened, seconds since the epoch,
    None where nobody said."""

    topic: str
    type: str
    id: Callable[[Any], str]
    key: Callable[[Any], tuple[str, str]]
    time: Callable[[Any], float | None] = lambda event: None


def _event_id(event: Any) -> str:
    return event.event_id


def _occurred(event: Any) -> float | None:
    return event.occurred_at or event.accepted_at


def _accepted(event: Any) -> float | None:
    return event.accepted_at


def _conversation(event: Any) -> tuple[str, str]:
    """What is said in a conversation stays in its order; else what is said of an answer."""
    if event.conversation_id:
        return "c", event.conversation_id
    return ("i", event.interaction_id) if event.interaction_id else ("e", event.event_id)


def _answer(event: Any) -> tuple[str, str]:
    if event.interaction_id:
        return "i", event.interaction_id
    return "e", event.source_event_id or event.event_id


def _table_id(table: arms.ArmsTable) -> str:
    """Of one record of a table: a renewal repeats the generation at another time."""
    return f"{table.policy}/{table.term}/{table.generation}/{table.written_at:.6f}"


KINDS: dict[type, _Kind] = {
    types.Interaction: _Kind("interactions", "dev.rejoinder.interaction.v1", _event_id, _conversation, _occurred),
    types.Feedback: _Kind("feedback", "dev.rejoinder.feedback.v1", _event_id, _conversation, _occurred),
    types.Signal: _Kind("signals", "dev.rejoinder.signal.v1", _event_id, _answer, _occurred),
    types.EvidenceReference: _Kind(
        "evidence", "dev.rejoinder.evidence.v1", lambda e: f"evidence/{e.number}", lambda e: ("n", str(e.number))
    ),
    types.RoundEvent: _Kind(
        "rounds",
        "dev.rejoinder.round.v1",
        _event_id,
        lambda e: ("p", e.policy) if e.policy else ("e", e.event_id),
        _occurred,
    ),
    types.Erasure: _Kind(
        "erasures", "dev.rejoinder.erasure.v1", lambda e: e.ticket, lambda e: ("s", e.subject), lambda e: e.erased_at
    ),
    arms.ArmsTable: _Kind("arms", "dev.rejoinder.arms.v1", _table_id, lambda e: ("", e.policy), lambda e: e.written_at),
    types.DeadLetter: _Kind(
        "deadletters", "dev.rejoinder.deadletter.v1", _event_id, lambda e: ("e", e.event_id), _accepted
    ),
}


def made(envelope: Envelope) -> tuple[tuple[str, bytes], ...]:
    """The headers of an envelope; a traceparent that is none is left out."""
    return _made(envelope.id, envelope.type, envelope.source, envelope.time, envelope.traceparent)


def _made(id: str, type: str, source: str, time: float | None, traceparent: str) -> tuple[tuple[str, bytes], ...]:
    said, kind, whence, form = _fixed(type, source)
    moment = () if time is None else (("ce_time", _told(time)),)
    return (said, ("ce_id", id.encode()), kind, whence, form, *moment, *_trace(traceparent))


def _told(time: float) -> bytes:
    """RFC 3339 in microseconds, UTC."""
    second = floor(time)
    micros = round((time - second) * 1e6)
    if micros == 1_000_000:
        second, micros = second + 1, 0
    return f"{_second(second)}.{micros:06d}Z".encode()


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    """Events come many a second, and a date costs more than all else of a header."""
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


@lru_cache(maxsize=64)
def _fixed(type: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """The headers that a writer's records share."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", type.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/protobuf"),
    )


@lru_cache(maxsize=256)
def _trace(traceparent: str) -> tuple[tuple[str, bytes], ...]:
    """The same for all events of a call."""
    return (("traceparent", traceparent.encode()),) if _TRACEPARENT.fullmatch(traceparent) else ()


def parsed(headers: Sequence[tuple[str, bytes]]) -> Envelope:
    """The envelope of headers, whoever wrote them. Raises BadEncoding for what is no CloudEvent of version 1."""
    try:
        texts = {name.lower(): value.decode() for name, value in headers}
        time = datetime.fromisoformat(texts["ce_time"]).timestamp() if "ce_time" in texts else None
    except ValueError:
        raise BadEncoding("the headers are no UTF-8, or ce_time is no RFC 3339 time") from None
    missing = [name for name in ("ce_id", "ce_type", "ce_source") if not texts.get(name)]
    if missing or not texts.get("ce_specversion", "").startswith("1."):
        raise BadEncoding("the headers are no CloudEvent", missing=",".join(missing))
    trace = texts.get("traceparent", "")
    return Envelope(
        texts["ce_id"],
        texts["ce_type"],
        texts["ce_source"],
        time,
        trace if _TRACEPARENT.fullmatch(trace) else "",
    )


def key_of(event: Any) -> bytes:
    """The ordering key: tenant and conversation where given, else tenant and interaction; erasures by subject, tables
    by the plain name of their policy."""
    return _key(KINDS[type(event)], event, getattr(event, "tenant", ""))


def _key(kind: _Kind, event: Any, tenant: str) -> bytes:
    letter, value = kind.key(event)
    if not letter:
        return value.encode()
    own = "" if kind.topic == "erasures" else tenant or DEFAULT_TENANT
    return f"{own}\x00{letter if value else ''}\x00{value}".encode()


def record_of(event: Any, source: str, traceparent: str = "", key: bytes | None = None) -> NewRecord:
    """The record of an event; its id must be set. source: URI reference of the service that writes it.

    key: another ordering key, where the event has to follow an earlier record (a dead letter its source).
    """
    kind = KINDS[type(event)]
    if not (id := kind.id(event)):
        raise EmptyField("event_id" if hasattr(event, "event_id") else "ticket")
    given = getattr(event, "tenant", "")
    tenant = given or DEFAULT_TENANT
    headers = _made(id, kind.type, source, kind.time(event), traceparent)
    identity = Identity(tenant, id, codec.body_digest(event))
    named = tenant if kind.topic in OWNABLE and (given or kind.topic != "deadletters") else ""
    key = _key(kind, event, given) if key is None else key
    return NewRecord(kind.topic, key, codec.encode(event), headers, identity, named)


def event_of(record: Record) -> Any:
    """The event that a record holds. Raises BadEncoding or UnknownEnum when it cannot be read."""
    return codec.decode(record.value, TOPICS[kind_of(record.topic)].value)

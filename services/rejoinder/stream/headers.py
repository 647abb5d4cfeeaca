"""Record headers and keys: CloudEvents' Kafka protocol binding, binary mode (v1.0.2), plus W3C `traceparent`.

`record_of` is the one place where an event becomes a record: topic, ordering key, headers, identity, bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
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
    """How one class of event lies on the log. id: the event's id. key: the parts of the ordering key after the
    tenant; the first that is not empty is taken, with the letter that keeps the name spaces apart."""

    topic: str
    type: str
    id: Callable[[Any], str]
    key: Callable[[Any], Sequence[tuple[str, str]]]


def _event_id(event: Any) -> str:
    return event.event_id


def _table_id(table: arms.ArmsTable) -> str:
    """Of one record of a table: a renewal repeats the generation at another time."""
    return f"{table.policy}/{table.term}/{table.generation}/{table.written_at:.6f}"


KINDS: dict[type, _Kind] = {
    types.Interaction: _Kind(
        "interactions",
        "dev.rejoinder.interaction.v1",
        _event_id,
        lambda e: (("c", e.conversation_id), ("i", e.interaction_id), ("e", e.event_id)),
    ),
    types.Feedback: _Kind(
        "feedback",
        "dev.rejoinder.feedback.v1",
        _event_id,
        lambda e: (("c", e.conversation_id), ("i", e.interaction_id), ("e", e.event_id)),
    ),
    types.Signal: _Kind(
        "signals",
        "dev.rejoinder.signal.v1",
        _event_id,
        lambda e: (("i", e.interaction_id), ("e", e.source_event_id), ("e", e.event_id)),
    ),
    types.EvidenceReference: _Kind(
        "evidence", "dev.rejoinder.evidence.v1", lambda e: f"evidence/{e.number}", lambda e: (("n", str(e.number)),)
    ),
    types.RoundEvent: _Kind(
        "rounds", "dev.rejoinder.round.v1", _event_id, lambda e: (("p", e.policy), ("e", e.event_id))
    ),
    types.Erasure: _Kind("erasures", "dev.rejoinder.erasure.v1", lambda e: e.ticket, lambda e: (("s", e.subject),)),
    arms.ArmsTable: _Kind("arms", "dev.rejoinder.arms.v1", _table_id, lambda e: ()),
    types.DeadLetter: _Kind("deadletters", "dev.rejoinder.deadletter.v1", _event_id, lambda e: (("e", e.event_id),)),
}


def made(envelope: Envelope) -> tuple[tuple[str, bytes], ...]:
    """The headers of an envelope; a traceparent that is none is left out."""
    return _made(envelope.id, envelope.type, envelope.source, envelope.time, envelope.traceparent)


def _made(id: str, type: str, source: str, time: float | None, traceparent: str) -> tuple[tuple[str, bytes], ...]:
    said, kind, whence, form = _fixed(type, source)
    moment: tuple[tuple[str, bytes], ...] = ()
    if time is not None:
        text = datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds")
        moment = (("ce_time", f"{text.removesuffix('+00:00')}Z".encode()),)
    return (said, ("ce_id", id.encode()), kind, whence, form, *moment, *_trace(traceparent))


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
    if isinstance(event, arms.ArmsTable):
        return event.policy.encode()
    for letter, value in KINDS[type(event)].key(event):  # noqa: B007
        if value:
            break
    else:
        letter, value = "", ""
    tenant = "" if isinstance(event, types.Erasure) else _tenant(event)
    return "\x00".join((tenant, letter, value)).encode()


def record_of(event: Any, source: str, traceparent: str = "", key: bytes | None = None) -> NewRecord:
    """The record of an event; its id must be set. source: URI reference of the service that writes it.

    key: another ordering key, where the event has to follow an earlier record (a dead letter its source).
    """
    kind = KINDS[type(event)]
    if not (id := kind.id(event)):
        raise EmptyField("event_id" if hasattr(event, "event_id") else "ticket")
    time = getattr(event, "occurred_at", None) or getattr(event, "erased_at", None)
    if time is None:
        time = getattr(event, "accepted_at", None) or getattr(event, "written_at", None)
    headers = _made(id, kind.type, source, time, traceparent)
    tenant = _tenant(event)
    identity = Identity(tenant, id, codec.body_digest(event))
    named = tenant if kind.topic in OWNABLE and (event.tenant or kind.topic != "deadletters") else ""
    return NewRecord(kind.topic, key_of(event) if key is None else key, codec.encode(event), headers, identity, named)


def event_of(record: Record) -> Any:
    """The event that a record holds. Raises BadEncoding or UnknownEnum when it cannot be read."""
    return codec.decode(record.value, TOPICS[kind_of(record.topic)].value)


def _tenant(event: Any) -> str:
    return getattr(event, "tenant", "") or DEFAULT_TENANT

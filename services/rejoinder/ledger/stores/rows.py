"""Records of the log ↔ rows of the ledger. Pure: no database here.

A row keeps the canonical form of what the caller said (`codec.canonical`) in two parts, words and facts; put together
again they have the event's body digest, which `audit` checks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types as pytypes
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from rejoinder.core import codec, types
from rejoinder.core.ids import MAX_NAME_BYTES, answer_digest, derived_id, digest_of, subject_of
from rejoinder.stream.port import Record
from rejoinder.stream.topics import TOPICS, kind_of, owner_of

Row = dict[str, Any]
#: Topic, partition, offset: compared in this order, the lowest record of an id is the event.
Place = tuple[str, int, int]

#: Fields of the canonical form that are words, per topic, each with its own column.
WORDS: Mapping[str, tuple[str, ...]] = {
    "interactions": ("messages", "response", "ranking", "sealed"),
    "feedback": ("follow_up", "comment", "edit", "sealed"),
    "signals": (),
    "rounds": (),
    "deadletters": ("value",),
}
DEFAULT_TENANT = "default"
FOREIGN = "FOREIGN_TENANT"


@dataclass(frozen=True)
class Arrived:
    """One record as it was understood. Times in microseconds.

    at: when it happened, clamped to when it was accepted; of a dead letter what it holds did.
    reason: "" for an event, else why it is none: UNREADABLE (its tenant is ""), or FOREIGN_TENANT where it lies on the
        own topic of another tenant than it names. Then event_id and digest are the record's own.
    """

    place: Place
    record_at: int
    tenant: str
    event_id: str
    body_digest: str
    accepted_at: int
    at: int
    subject: str
    value: bytes
    event: Any = None
    body: Mapping[str, Any] | None = None
    reason: str = ""

    @property
    def kind(self) -> str:
        """Of its topic: `feedback` wherever feedback lies."""
        return kind_of(self.place[0])

    @property
    def attempt_key(self) -> str:
        event = self.event
        return attempt_key(event.interaction_id, event.attempt_id) if isinstance(event, types.Interaction) else ""


def attempt_key(interaction_id: str, attempt_id: str) -> str:
    return compact([interaction_id, attempt_id])


def attempt_of(key: str) -> tuple[str, str]:
    """The interaction and attempt of an `attempt_key`."""
    interaction_id, attempt_id = json.loads(key)
    return interaction_id, attempt_id


def micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def compact(value: Any) -> str:
    """Canonical JSON text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def arrive(record: Record, key: bytes) -> Arrived:
    """Reads a record; never raises, whatever its bytes are. key: the deployment's erasure key."""
    place: Place = (record.topic, record.partition, record.offset)
    at = micros(record.timestamp)
    try:
        event: Any = codec.decode(record.value, TOPICS[kind_of(record.topic)].value)
        _require(event)
        body = codec.canonical(event)
        digest = digest_of(body)
    except Exception:  # any bytes may lie on the log, and none of them may stop the reader
        digest = hashlib.sha256(record.value).hexdigest()
        event_id = derived_id(record.topic, str(record.partition), str(record.offset), "UNREADABLE")
        return Arrived(place, at, "", event_id, digest, at, at, "", record.value, reason="UNREADABLE")
    tenant, owner = event.tenant or DEFAULT_TENANT, owner_of(record.topic)
    accepted = at if event.accepted_at is None else micros(event.accepted_at)
    happened, subject = _happened(event, accepted), _subject(event, key)
    if owner not in ("", tenant):
        # Whoever may write there wrote for somebody else: it must be nobody's event, but an erasure must find it.
        digest = hashlib.sha256(record.value).hexdigest()
        strange = derived_id(record.topic, str(record.partition), str(record.offset), FOREIGN)
        return Arrived(place, at, tenant, strange, digest, accepted, happened, subject, record.value, reason=FOREIGN)
    return Arrived(place, at, tenant, event.event_id, digest, accepted, happened, subject, record.value, event, body)


#: What the tables index, of any event. An index takes no longer names, and no control character is written into one as
#: it is; ingest takes neither, so who wrote such a record went past it.
_INDEXED = (
    "tenant",
    "event_id",
    "interaction_id",
    "attempt_id",
    "conversation_id",
    "answer_digest",
    "source_event_id",
    "principal",
    "policy",
    "version",
    "subject",
)


def is_name(text: str) -> bool:
    """Whether an index takes it. Raises UnicodeEncodeError for half a surrogate pair."""
    return len(text.encode()) <= MAX_NAME_BYTES and min(text, default=" ") >= " "


def _require(event: Any) -> None:
    if not event.event_id:
        raise ValueError("no event id")
    for name in _INDEXED:
        text = getattr(event, name, "")
        if not is_name(text):
            raise ValueError(f"{name} is no name")
    if isinstance(event, types.Interaction) and not event.interaction_id:
        raise ValueError("no interaction id")
    if isinstance(event, types.Feedback) and event.kind is None:
        raise ValueError("no kind")


def _happened(event: Any, accepted: int) -> int:
    """A dead letter is accepted when it is written, days after what it holds where a worker was behind."""
    moments = [getattr(event, "occurred_at", None)]
    if isinstance(event, types.DeadLetter):
        inner = held(event)
        moments += [getattr(inner, "occurred_at", None), getattr(inner, "accepted_at", None)]
    return min([accepted, *(micros(moment) for moment in moments if moment is not None)])


def held(letter: types.DeadLetter) -> Any:
    """The event in a dead letter, None where it is none that can be read."""
    try:
        return codec.decode(letter.value, TOPICS[kind_of(letter.source.topic)].value) if letter.source else None
    except Exception:  # any bytes may lie in one
        return None


def _subject(event: Any, key: bytes) -> str:
    if isinstance(event, types.DeadLetter):
        return event.subject
    user = getattr(event, "user_id", "")
    return subject_of(key, event.tenant or DEFAULT_TENANT, user) if user else ""


def to_row(arrived: Arrived) -> Row:
    """The row of an event in the table of its topic; joined columns have their defaults."""
    event, body = arrived.event, dict(arrived.body or {})
    words = {name: body.pop(name) for name in WORDS[arrived.kind] if name in body}
    row: Row = {
        "tenant": arrived.tenant,
        "event_id": arrived.event_id,
        "body_digest": arrived.body_digest,
        "accepted_at": arrived.accepted_at,
        "principal": getattr(event, "principal", ""),
        "user_id": getattr(event, "user_id", ""),
        "subject": arrived.subject,
        "at": arrived.at,
        "facts": compact(body),
        "topic": arrived.place[0],
        "part": arrived.place[1],
        "pos": arrived.place[2],
        "record_at": arrived.record_at,
    }
    return row | _COLUMNS[arrived.kind](event, words)


def _interaction(event: types.Interaction, words: Mapping[str, Any]) -> Row:
    served = event.served or types.Served()
    history = next((m.content for m in reversed(event.messages) if m.role is types.Role.ASSISTANT), None)
    return {
        "interaction_id": event.interaction_id,
        "attempt_id": event.attempt_id,
        "conversation_id": event.conversation_id,
        "turn": event.turn,
        "status": event.status.value,
        "consent": event.consent.value,
        "source": event.source,
        "policy": served.policy,
        "version": served.version,
        "arm": served.arm.value,
        "holdout": served.holdout,
        "forced": served.forced,
        "parent_interaction_id": event.parent_interaction_id,
        "answer_digest": answer_digest(event.response) if event.response else "",
        "history_digest": "" if history is None else answer_digest(history),
        "messages": compact(words["messages"]) if "messages" in words else None,
        "response": words.get("response"),
        "ranking": compact(words["ranking"]) if "ranking" in words else None,
        "sealed": words.get("sealed"),
        "parent": "",
        "parent_how": "root",
        "crossed": False,
    }


def _feedback(event: types.Feedback, words: Mapping[str, Any]) -> Row:
    said = {name: value for name, value in words.items() if name != "sealed"}
    return {
        "interaction_id": event.interaction_id,
        "attempt_id": event.attempt_id,
        "conversation_id": event.conversation_id,
        "turn": event.turn,
        "answer_digest": event.answer_digest,
        "kind": event.kind_name,
        "repeat_key": None,
        "consent": event.consent.value,
        "source": event.source,
        "words": compact(said) if said else None,
        "sealed": words.get("sealed"),
        "state": "unlinked",
        "how": "",
        "cause": "",
        "target_interaction": "",
        "target_attempt": "",
    }


def _signal(event: types.Signal, words: Mapping[str, Any]) -> Row:
    return {
        "source_event_id": event.source_event_id,
        "interaction_id": event.interaction_id,
        "attempt_id": event.attempt_id,
        "polarity": event.polarity.value,
        "strength": event.strength,
        "confidence": event.confidence,
        "extractor": event.extractor,
        "extractor_version": event.extractor_version,
    }


def _round(event: types.RoundEvent, words: Mapping[str, Any]) -> Row:
    return {name: getattr(event, name) for name in ("policy", "number", "stage", "digest", "version")}


def _dead_letter(event: types.DeadLetter, words: Mapping[str, Any]) -> Row:
    source = event.source or types.Coordinate()
    return {
        "reason": event.reason,
        "source_topic": source.topic,
        "source_part": source.partition,
        "source_pos": source.offset,
        "value": event.value,
    }


_COLUMNS: Mapping[str, Callable[[Any, Mapping[str, Any]], Row]] = {
    "interactions": _interaction,
    "feedback": _feedback,
    "signals": _signal,
    "rounds": _round,
    "deadletters": _dead_letter,
}


def to_body(topic: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form that a row was made of: `digest_of` it is the row's body digest."""
    body = json.loads(row["facts"])
    if topic == "feedback":
        body |= json.loads(row["words"] or "{}")
        if row["sealed"] is not None:
            body["sealed"] = row["sealed"]
    elif topic == "deadletters":
        body |= {"value": row["value"].hex()} if row["value"] else {}
    elif topic == "interactions":
        body |= {name: json.loads(row[name]) for name in ("messages", "ranking") if row[name] is not None}
        body |= {name: row[name] for name in ("response", "sealed") if row[name] is not None}
    return body


def to_event(topic: str, row: Mapping[str, Any]) -> Any:
    """The event that a row was made of, with its stamps."""
    event = build(TOPICS[topic].value, to_body(topic, row))
    stamps: dict[str, Any] = {"accepted_at": row["accepted_at"] / 1_000_000}
    if hasattr(event, "principal"):
        stamps["principal"] = row["principal"]
    return dataclasses.replace(event, **stamps)


def arrived_of(topic: str, row: Mapping[str, Any]) -> Arrived:
    """The record that a stored row was made of."""
    event = to_event(topic, row)
    return Arrived(
        (row["topic"], row["part"], row["pos"]),
        row["record_at"],
        row["tenant"],
        row["event_id"],
        row["body_digest"],
        row["accepted_at"],
        row["at"],
        row["subject"],
        codec.encode(event),
        event,
        to_body(topic, row),
    )


def arrived_aside(row: Mapping[str, Any], key: bytes) -> Arrived:
    """The record that was set aside in this row."""
    at = row["record_at"] / 1_000_000
    return arrive(Record(row["topic"], row["part"], row["pos"], b"", row["value"], (), at), key)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@cache
def _is_time(cls: type, name: str) -> bool:
    kind = codec.MESSAGES[cls].DESCRIPTOR.fields_by_name[name].message_type
    return kind is not None and kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration")


def build(cls: Any, data: Mapping[str, Any]) -> Any:
    """The inverse of `codec.canonical` for a dataclass of events."""
    values: dict[str, Any] = {}
    for name, item in data.items():
        if cls is types.Feedback and name in types.KINDS:
            values["kind"] = build(types.KINDS[name], item)
        elif _is_time(cls, name):
            values[name] = item / 1_000_000
        else:
            values[name] = _value(_hints(cls)[name], item)
    return cls(**values)


def _value(hint: Any, item: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, pytypes.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, i) for i in item)
    if dataclasses.is_dataclass(hint):
        return build(hint, item)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(item)
    return bytes.fromhex(item) if hint is bytes else item

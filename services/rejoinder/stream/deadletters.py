"""Dead letters: a record that could not be used, why, and where it lies; and the way back once the cause is mended.

A dead letter's id is a digest of the source's coordinate and the reason, so a redelivery makes the same one. It keeps
its source's key, so a replay lands where the original would. What a user had erased is never replayed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from rejoinder.core import codec, types
from rejoinder.core.clock import Clock
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.ids import derived_id, subject_of
from rejoinder.stream.headers import DEFAULT_TENANT, event_of, parsed, record_of
from rejoinder.stream.port import Identity, Log, NewRecord, Record
from rejoinder.stream.topics import TOPICS


class DeadLetters:
    """Makes dead letters. owns: nothing.

    subject_key: the deployment's HMAC key, by which an erasure finds the dead letters of its user.
    source: URI reference of the service that writes them.
    """

    def __init__(self, subject_key: bytes, clock: Clock, source: str) -> None:
        self._key = subject_key
        self._clock = clock
        self._source = source

    def record(self, of: Record, reason: str, other: types.Coordinate | None = None) -> NewRecord:
        """The dead letter of a record. reason: an ErrorReason name. other: where a conflict's winner lies."""
        try:
            event = event_of(of)
        except InvalidArgument:
            event = None
        tenant, user_id = getattr(event, "tenant", "") or DEFAULT_TENANT, getattr(event, "user_id", "")
        letter = types.DeadLetter(
            event_id=derived_id("deadletter", of.topic, str(of.partition), str(of.offset), reason),
            tenant=tenant if event is not None else "",
            reason=reason,
            source=of.coordinate,
            other=other,
            value=of.value,
            subject=subject_of(self._key, tenant, user_id) if user_id else "",
            accepted_at=self._clock.now(),
        )
        return record_of(letter, self._source, _traceparent(of), key=of.key)


def erased_until(log: Log) -> dict[str, float]:
    """Subject → the time (seconds since the epoch) before which what it did is to be forgotten; read to the end."""
    out: dict[str, float] = {}
    for record in _all(log, "erasures"):
        erasure: types.Erasure = event_of(record)
        until = (erasure.erased_at or 0.0) + (erasure.grace or 0.0)
        out[erasure.subject] = max(until, out.get(erasure.subject, until))
    return out


@dataclass(frozen=True)
class Replayed:
    """What became of the dead letters looked at: put back now, put back before, withheld as erased."""

    put_back: int = 0
    before: int = 0
    erased: int = 0


def replay(log: Log, reasons: Collection[str], source: str, tenant: str | None = None) -> Replayed:
    """Puts the records behind dead letters of these reasons back on their topics, for every reader to try again.

    May be repeated: a dead letter is put back once where the log sees first copies, and the ledger knows the event by
    its id everywhere. Raises what `append` raises; what was put back by then stays.
    """
    erased = erased_until(log)
    put_back = before = withheld = 0
    done: set[str] = set()
    for record in _all(log, "deadletters"):
        letter: types.DeadLetter = event_of(record)
        if letter.reason not in reasons or letter.source is None or letter.event_id in done:
            continue
        if tenant is not None and letter.tenant != tenant:
            continue
        done.add(letter.event_id)
        event = _readable(letter)
        accepted = getattr(event, "accepted_at", None) or letter.accepted_at or 0.0
        if letter.subject in erased and accepted < erased[letter.subject]:
            withheld += 1
            continue
        (appended,) = log.append([_put_back(record, letter, event, source)]).result()
        put_back += appended.outcome == "recorded"
        before += appended.outcome != "recorded"
    return Replayed(put_back, before, withheld)


def _put_back(record: Record, letter: types.DeadLetter, event: Any, source: str) -> NewRecord:
    """The original once more, under an identity of the replay: by its own the log would call it a second copy."""
    headers = record_of(event, source, _traceparent(record)).headers if event is not None else ()
    digest = hashlib.sha256(letter.value).hexdigest()
    identity = Identity(letter.tenant or DEFAULT_TENANT, derived_id("replay", letter.event_id), digest)
    return NewRecord(letter.source.topic, record.key, letter.value, headers, identity)


def _readable(letter: types.DeadLetter) -> Any:
    try:
        return codec.decode(letter.value, TOPICS[letter.source.topic].value)
    except InvalidArgument:
        return None


def _traceparent(record: Record) -> str:
    try:
        return parsed(record.headers).traceparent
    except InvalidArgument:
        return ""


def _all(log: Log, topic: str) -> Iterator[Record]:
    """Every record that lies there now, partition by partition."""
    for partition, end in log.end_offsets(topic).items():
        at = log.start_offsets(topic)[partition]
        while at < end and (records := log.read(topic, partition, at)):
            yield from (record for record in records if record.offset < end)
            at = records[-1].offset + 1

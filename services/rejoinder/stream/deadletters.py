"""Dead letters: a record that could not be used, why, and where it lies; and the way back once the cause is mended.

A dead letter's id is a digest of the source's coordinate and the reason, so a redelivery makes the same one. It keeps
its source's key, so a replay lands where the original would. What is put back says where it first lay: if it fails
again, it makes the same dead letter again and not one more. What a user had erased is never replayed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from rejoinder.core import codec, types
from rejoinder.core.clock import Clock
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.ids import derived_id, subject_of
from rejoinder.stream.headers import DEFAULT_TENANT, event_of, parsed, record_of
from rejoinder.stream.port import Identity, Log, NewRecord, Record
from rejoinder.stream.topics import TOPICS, kind_of, of_kinds, owner_of

#: Header of what a replay put back (an extension of CloudEvents): where it lay when it first became a dead letter.
_ORIGIN = "ce_origin"
#: Before the name of a topic that is not ours, of which `observe` put a record aside.
THEIRS = "observe:"
_PLACE = re.compile(
    r"(observe:[A-Za-z0-9._-]{1,249}|[a-z]+(?:@[A-Za-z0-9_-]{1,240}(?:\.g\d{1,9})?)?)/(\d{1,9})/(\d{1,18})"
)


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
        origin = _origin(of)
        tenant, user_id = getattr(event, "tenant", "") or DEFAULT_TENANT, getattr(event, "user_id", "")
        owner = owner_of(origin.topic)
        letter = types.DeadLetter(
            event_id=derived_id("deadletter", origin.topic, str(origin.partition), str(origin.offset), reason),
            # What lies on a tenant's own topic is nobody else's to see, whatever it says.
            tenant=owner or (tenant if event is not None else ""),
            reason=reason,
            source=origin,
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
    """What became of the dead letters looked at: put back now, put back before, withheld as erased, or as what lay on
    the own topic of another tenant than it names. theirs: of topics that `observe` reads (observe/replay.py)."""

    put_back: int = 0
    before: int = 0
    erased: int = 0
    foreign: int = 0
    theirs: int = 0


def letters(
    log: Log, reasons: Collection[str] = (), tenant: str | None = None, at: types.Coordinate | None = None
) -> Iterator[tuple[Record, types.DeadLetter]]:
    """The dead letters that lie there now, each once however often it was written. reasons: of these alone, () for
    all; at: of the record that lay there first. One without a source could not be put back, and is left out."""
    done: set[str] = set()
    for record in _all(log, "deadletters"):
        try:
            letter: types.DeadLetter = event_of(record)
        except InvalidArgument:
            continue
        if letter.source is None or letter.event_id in done:
            continue
        wanted = not reasons or letter.reason in reasons
        if wanted and tenant in (None, letter.tenant) and at in (None, letter.source):
            done.add(letter.event_id)
            yield record, letter


def replay(
    log: Log,
    reasons: Collection[str],
    source: str,
    tenant: str | None = None,
    at: types.Coordinate | None = None,
) -> Replayed:
    """Puts the records behind dead letters (see `letters`) back on their topics, for every reader to try again.

    May be repeated: a dead letter is put back once where the log sees first copies (SQLite), and everywhere what comes
    of it has the ids that it had: the ledger keeps it once. Raises what `append` raises; what was put back by then
    stays.
    """
    erased = erased_until(log)
    put_back = before = withheld = foreign = theirs = 0
    for record, letter in letters(log, reasons, tenant, at):
        lay = _lay(letter)
        if kind_of(lay.topic) not in TOPICS:
            theirs += 1
            continue
        event = _readable(letter)
        accepted = getattr(event, "accepted_at", None) or letter.accepted_at or 0.0
        if letter.subject in erased and accepted < erased[letter.subject]:
            withheld += 1
            continue
        named = getattr(event, "tenant", "") or DEFAULT_TENANT
        if event is not None and owner_of(lay.topic) not in ("", named):
            # Back on the shared topic, once the own ones are closed, it would be that other tenant's event.
            foreign += 1
            continue
        (appended,) = log.append([_put_back(record, letter, event, source)]).result()
        put_back += appended.outcome == "recorded"
        before += appended.outcome != "recorded"
    return Replayed(put_back, before, withheld, foreign, theirs)


def _put_back(record: Record, letter: types.DeadLetter, event: Any, source: str) -> NewRecord:
    """The original once more, under an identity of the replay: by its own the log would call it a second copy."""
    headers = record_of(event, source, _traceparent(record)).headers if event is not None else ()
    digest = hashlib.sha256(letter.value).hexdigest()
    identity = Identity(letter.tenant or DEFAULT_TENANT, derived_id("replay", letter.event_id), digest)
    lay = _lay(letter)
    first = (_ORIGIN, f"{lay.topic}/{lay.partition}/{lay.offset}".encode())
    return NewRecord(lay.topic, record.key, letter.value, (*headers, first), identity, letter.tenant)


def _lay(letter: types.DeadLetter) -> types.Coordinate:
    """Where its record lay: `letters` leaves those out that do not say it."""
    assert letter.source is not None
    return letter.source


def _origin(record: Record) -> types.Coordinate:
    """Where a record lay first: what a replay says of what it put back, else where it lies."""
    said = dict(record.headers).get(_ORIGIN)
    if said is None:
        return record.coordinate
    try:
        return coordinate_of(said.decode())
    except (InvalidArgument, UnicodeDecodeError):
        return record.coordinate


def coordinate_of(text: str) -> types.Coordinate:
    """`topic/partition/offset`. Raises InvalidArgument."""
    found = _PLACE.fullmatch(text)
    if found is None or not (found[1].startswith(THEIRS) or kind_of(found[1]) in TOPICS):
        raise InvalidArgument("a place is topic/partition/offset, as `evidence/3/1071`", field="at")
    return types.Coordinate(found.group(1), int(found.group(2)), int(found.group(3)))


def _readable(letter: types.DeadLetter) -> Any:
    try:
        return codec.decode(letter.value, TOPICS[kind_of(_lay(letter).topic)].value)
    except InvalidArgument:
        return None


def _traceparent(record: Record) -> str:
    try:
        return parsed(record.headers).traceparent
    except InvalidArgument:
        return ""


def _all(log: Log, kind: str) -> Iterator[Record]:
    """Every record of a kind that lies there now, partition by partition."""
    for topic in of_kinds(log.topics, (kind,)):
        for partition, end in log.end_offsets(topic).items():
            at = log.start_offsets(topic)[partition]
            while at < end and (records := log.read(topic, partition, at)):
                yield from (record for record in records if record.offset < end)
                at = records[-1].offset + 1

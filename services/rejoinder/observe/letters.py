"""Dead letters of records that are not ours: where the record lies, why it was put aside, and its bytes.

Bytes are kept only where the deployment's key is given and the map finds the record's user: else an erasure could not
find them. The record itself lies in its own topic.
"""

from __future__ import annotations

from rejoinder.core.clock import Clock
from rejoinder.core.ids import derived_id, subject_of
from rejoinder.core.types import Coordinate, DeadLetter
from rejoinder.stream.deadletters import THEIRS
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import NewRecord, Record

SOURCE = "rejoinder/observe"
#: Longer records are put aside without their bytes: a dead letter must fit into our own log.
MAX_BYTES = 4 << 20


class Letters:
    """owns: nothing."""

    def __init__(self, key: bytes | None, tenant: str, clock: Clock) -> None:
        self._key = key
        self._tenant = tenant
        self._clock = clock

    def record(self, of: Record, origin: str, reason: str, user: str) -> NewRecord:
        """origin: its topic's id, a followed line's own. reason: an ErrorReason name. user: who it is about
        as far as the map finds it."""
        subject = subject_of(self._key, self._tenant, user) if self._key is not None and user else ""
        now = self._clock.now()
        letter = DeadLetter(
            event_id=letter_id(origin, of.partition, of.offset, reason),
            tenant=self._tenant,
            reason=reason,
            # Theirs may be called as one of ours.
            source=Coordinate(f"{THEIRS}{of.topic}", of.partition, of.offset),
            value=of.value if subject and len(of.value) <= MAX_BYTES else b"",
            subject=subject,
            # Its record's own time, as an event's: what was erased meanwhile does not come back as new.
            accepted_at=min(of.timestamp, now) if of.timestamp > 0 else now,
        )
        return record_of(letter, SOURCE)


def letter_id(origin: str, partition: int, offset: int, reason: str) -> str:
    """A dead letter's id says of which topic's record it is, for a name may come again. origin: the topic's id."""
    return derived_id("deadletter", origin, str(partition), str(offset), reason)

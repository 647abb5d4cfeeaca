"""What can be turned on the logs. Times in seconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core.errors import BadSettings

_DAY = 86_400.0


@dataclass(frozen=True)
class LogSettings:
    """Of a log that one process owns (SQLite, memory)."""

    #: Partitions of every topic of a new log, 1 to 1,000; an existing log keeps its own until it is grown.
    partitions: int = 4
    #: A member of a group that was not heard of for so long loses its partitions. Protects readers from a dead member;
    #: a worker's step limit lies below it.
    session_timeout_s: float = 10.0
    #: How long a second copy of an id is recognised: at least the retention plus the spool's maximum age, so that a
    #: late redelivery is never stored twice.
    dedupe_s: float = 40 * _DAY
    #: How long records of topics that are not compacted are kept.
    retention_s: float = 30 * _DAY
    #: Records and bytes that may wait for the writer before QueueFull: bounds memory when the disk is slow.
    queue_records: int = 20_000
    queue_bytes: int = 64 << 20
    #: Most records of one commit: bounds what a reader waits for and what one failed commit refuses.
    batch_records: int = 2_000
    #: Largest size of the file in bytes, 0 for none: DiskFull comes before the disk is full for everybody else.
    max_bytes: int = 0
    #: How long a write waits for a lock that somebody else holds on the file before LogUnavailable.
    busy_timeout_s: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= 1_000:
            raise BadSettings("partitions must be from 1 to 1000", field="partitions")
        if self.dedupe_s < self.retention_s:
            raise BadSettings("dedupe_s must be at least retention_s", field="dedupe_s")
        for name in ("session_timeout_s", "queue_records", "queue_bytes", "batch_records", "busy_timeout_s"):
            if getattr(self, name) <= 0:
                raise BadSettings(f"{name} must be above zero", field=name)

"""The log that the settings ask for."""

from __future__ import annotations

from rejoinder.core.clock import Clock
from rejoinder.feedback.settings import LogTheme
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog


def open_log(settings: LogTheme, clock: Clock) -> SqliteLog | MemoryLog:
    """Opens the log. Raises StoreOwned when another living process owns the file."""
    inner = LogSettings(
        partitions=settings.partitions,
        retention_s=settings.retention_s,
        dedupe_s=settings.dedupe_s,
        queue_records=settings.queue_records,
    )
    if settings.kind == "memory":
        return MemoryLog(clock, settings.partitions, inner)
    settings.path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteLog(str(settings.path), inner, clock)

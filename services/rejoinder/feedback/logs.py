"""The log that the settings ask for."""

from __future__ import annotations

from rejoinder.core.clock import Clock
from rejoinder.feedback.settings import LogTheme
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import Log
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog


def open_log(settings: LogTheme, clock: Clock) -> Log:
    """Opens the log. Raises StoreOwned when another living process owns the file; for Kafka see KafkaLog."""
    if settings.kind == "kafka":
        return kafka_log(settings.kafka.model_dump(), "rejoinder-feedback")
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

"""What can be turned on the ingest service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rejoinder.core.errors import BadSettings
from rejoinder.runtime.settings import ServerSettings, Theme

_DAY = 86_400.0


class LogTheme(Theme):
    kind: Literal["sqlite", "memory"] = "sqlite"
    """Where events are kept. memory forgets everything at the end: for trying things out, refused in production."""
    path: Path = Path("data/log.db")
    """The SQLite file; one process owns it. Its folder is made."""
    partitions: int = Field(default=4, ge=1, le=1000)
    """Partitions of every topic of a new log; an existing log keeps its own."""
    retention_s: float = Field(default=30 * _DAY, gt=0)
    """Seconds that records are kept; after it only ledger and snapshots know them."""
    dedupe_s: float = Field(default=40 * _DAY, gt=_DAY)
    """Seconds that a second copy of an id is known; retention plus a spool's greatest age, so nothing counts twice."""
    queue_records: int = Field(default=20_000, ge=1)
    """Records that may wait for the disk before QUEUE_FULL; bounds memory when the disk is slow."""
    housekeeping_s: float = Field(default=3600.0, gt=0)
    """Seconds between two rounds of retention and compaction."""


class LimitSettings(Theme):
    max_items: int = Field(default=1000, ge=1)
    """Items of one request; bounds what one caller can make one commit wait for."""
    max_text_bytes: int = Field(default=256 * 1024, ge=1)
    """UTF-8 bytes of one text (a message, an answer, a comment)."""
    max_id_chars: int = Field(default=256, ge=1)
    """Characters of one id or name."""
    max_ahead_s: float = Field(default=_DAY, ge=0)
    """Seconds that a caller's clock may be ahead of ours before its times are refused as absurd."""


class FeedbackSettings(Theme):
    server: ServerSettings = ServerSettings(port=50051)
    """The chassis."""
    log: LogTheme = LogTheme()
    """The log."""
    limits: LimitSettings = LimitSettings()
    """What a request may hold."""
    production: bool = False
    """True refuses settings that lose what was acknowledged."""
    processes: int = Field(default=1, ge=1)
    """Ingest processes that share the log; more than one needs a log that many may write."""

    def check(self) -> None:
        """Raises BadSettings for fields that contradict each other."""
        if self.production and self.log.kind == "memory":
            raise BadSettings("log.kind memory loses what was acknowledged: refused with production")
        if self.processes > 1:
            raise BadSettings(f"log.kind {self.log.kind} has one owner: {self.processes} processes need Kafka")
        if self.log.dedupe_s < self.log.retention_s:
            raise BadSettings("log.dedupe_s must be at least log.retention_s")

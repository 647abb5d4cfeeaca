"""What can be turned on the ingest service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from rejoinder.core.errors import BadSettings
from rejoinder.core.finders import KINDS, unknown_regions
from rejoinder.core.ids import MAX_PARTS
from rejoinder.runtime.kafkatheme import KafkaTheme
from rejoinder.runtime.settings import ServerSettings, Theme

_DAY = 86_400.0


class LogTheme(Theme):
    kind: Literal["sqlite", "memory", "kafka"] = "sqlite"
    """Where events are kept. memory forgets everything at the end: for trying things out, refused in production."""
    kafka: KafkaTheme = KafkaTheme()
    """The log on Apache Kafka, when kind is kafka; partitions, retention_s and queue_records are then its own."""
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

    @property
    def kept_s(self) -> float:
        """Seconds that the log of this kind keeps records."""
        return self.kafka.longest_s if self.kind == "kafka" else self.retention_s


class LimitSettings(Theme):
    max_items: int = Field(default=1000, ge=1)
    """Items of one request; bounds what one caller can make one commit wait for."""
    max_text_bytes: int = Field(default=256 * 1024, ge=1)
    """UTF-8 bytes of one text (a message, an answer, a comment)."""
    max_parts: int = Field(default=MAX_PARTS, ge=1)
    """Messages of one conversation, candidates of one ranking, categories of one scale: a megabyte of one-letter turns
    takes the seconds of a thousand requests. Policy and rerank ask for at most 2000, so let it be no less."""
    max_id_chars: int = Field(default=256, ge=1)
    """Characters of one id or name."""
    max_ahead_s: float = Field(default=_DAY, ge=0)
    """Seconds that a caller's clock may be ahead of ours before its times are refused as absurd."""


class RedactTheme(Theme):
    kinds: tuple[str, ...] = ()
    """What becomes a placeholder in every text before it is recorded: url, email, iban, card, ssn, ip, phone; none by
    default. Names of people and postal addresses are not found. Ids (user_id too) are left as they are."""
    phone_regions: tuple[str, ...] = ("US",)
    """Countries (ISO 3166) whose national telephone numbers are found; international ones (+…) are, of any country.
    Each takes time and finds a number in more of what is none."""
    key_file: Path | None = None
    """File with a secret of 16 bytes or more: a value then has one placeholder through its conversation, with a tag.
    The same file for every replica; without one all values of a kind read alike."""

    @field_validator("kinds")
    @classmethod
    def _are_known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"no kind of redaction is called {kind}; known: {', '.join(KINDS)}")
        return kinds

    @field_validator("phone_regions")
    @classmethod
    def _have_plans(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := unknown_regions(regions):
            raise ValueError(f"{unknown[0]} is no country's code in ISO 3166 (GB, not UK or gb)")
        return regions


class RateTheme(Theme):
    events_per_s: float | None = Field(default=None, gt=0)
    """Events a second in the long run; unset, any number."""
    bytes_per_s: float | None = Field(default=None, gt=0)
    """Bytes a second of events as they are recorded; unset, any number."""
    burst_s: float = Field(default=10.0, gt=0)
    """Seconds' worth that may come at once after a pause."""

    @property
    def limits(self) -> bool:
        return self.events_per_s is not None or self.bytes_per_s is not None


class QuotaTheme(Theme):
    """Of all `processes` together: each keeps to its share. What one of our own services took earlier (role internal,
    already stamped) is never refused: its answers were shown."""

    tenant: RateTheme = RateTheme()
    """Of each tenant that `tenants` does not name."""
    tenants: dict[str, RateTheme] = Field(default_factory=dict)
    """Of single tenants, by name, in place of `tenant`."""
    principal: RateTheme = RateTheme()
    """Of each caller, all its tenants together."""
    user: RateTheme = RateTheme()
    """Feedback of each user of a tenant: a script's votes, not a person's. A bulk import sends a user's years at once:
    leave it unset there."""
    most_names: int = Field(default=100_000, ge=1)
    """Names (tenants, callers, users) whose rates are remembered, some 300 bytes each; the longest unused go first."""
    recent_ids: int = Field(default=100_000, ge=1)
    """Events let in lately that are let in again, about 150 bytes each: what is sent again because an answer was lost
    is neither refused nor charged. As many as may come while callers try again."""


class FeedbackSettings(Theme):
    server: ServerSettings = ServerSettings(port=50051)
    """The chassis."""
    log: LogTheme = LogTheme()
    """The log."""
    limits: LimitSettings = LimitSettings()
    """What a request may hold."""
    redact: RedactTheme = RedactTheme()
    """What is taken out of texts before the log has them."""
    quota: QuotaTheme = QuotaTheme()
    """How much may come; nothing is limited by default."""
    production: bool = False
    """True refuses settings that lose what was acknowledged."""
    processes: int = Field(default=1, ge=1)
    """Ingest processes that share the log, at most at once; more than one needs a log that many may write. Each takes
    this part of every quota, so together they never let more pass; while fewer run, less passes."""

    def check(self) -> None:
        """Raises BadSettings for fields that contradict each other."""
        if self.production and self.log.kind == "memory":
            raise BadSettings("log.kind memory loses what was acknowledged: refused with production")
        if self.processes > 1 and self.log.kind != "kafka":
            raise BadSettings(f"log.kind {self.log.kind} has one owner: {self.processes} processes need Kafka")
        if self.log.kafka.tenants and self.log.kind != "kafka":
            raise BadSettings(
                f"log.kafka.tenants: log.kind {self.log.kind} has one owner and no topics of single tenants"
            )
        if self.quota.user.bytes_per_s is not None:
            raise BadSettings("quota.user.bytes_per_s is not kept: users are limited by events_per_s")
        if self.log.dedupe_s < self.log.kept_s:
            raise BadSettings(
                "log.dedupe_s must be at least log.retention_s (on Kafka log.kafka.retention_s, and any tenant's)"
            )

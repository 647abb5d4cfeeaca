"""What can be turned in the ledger: plain values for whoever keeps one in process, and the process's own settings
(`LedgerProcess`: file, then environment, `REJOINDER_LEDGER__LOG__PATH`), which make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from rejoinder.core.errors import BadSettings
from rejoinder.core.keyfile import read_key
from rejoinder.core.types import Consent
from rejoinder.ledger.stores.dialect import Postgres, Where, address
from rejoinder.runtime.kafkatheme import KafkaGuestTheme
from rejoinder.runtime.settings import ServerSettings, Theme

DAY_S = 86_400.0


@dataclass(frozen=True)
class Rules:
    """What decides the ledger's content: two ledgers agree only under the same rules.

    dedupe_s: how long an event id is remembered; at least the log's retention plus the spool's maximum age, so that no
        redelivery can be stored twice. Records accepted longer ago than this minus one day, by the log's own clock when
        it took them, are EXPIRED.
    parked_s: how long feedback waits for its answer (7 days); then it is an orphan, and no later answer takes it.
    parked_per_principal: feedback that may wait at once per tenant and principal; the rest are orphans while they wait.
    history_s: how far back the digest of an answer found in a history may reach (24 hours).
    evidence_per_user, evidence_per_principal: pieces of evidence that one person, and one caller, may have in one
        window; None for any number. See influence.py.
    """

    dedupe_s: float = 37 * DAY_S
    parked_s: float = 7 * DAY_S
    parked_per_principal: int = 10_000
    history_s: float = DAY_S
    evidence_per_user: int | None = 400
    evidence_per_principal: int | None = None


@dataclass(frozen=True)
class Forgetting:
    """How erasure works.

    key: secret of the deployment; subjects, tombstones and row salts are HMACs under it. Changing it makes earlier
        erasures unknowable: keep it as long as the log.
    grace_s: records accepted up to this long after the request are dropped too: the spool's maximum age (1 h) plus 5
        minutes of clock error.
    log_retention_s: how long the log may hold a raw copy (Kafka's retention of 30 days and a segment's day); own: the
        same of tenants with topics of their own.
    """

    key: bytes
    grace_s: float = 3_600.0 + 300.0
    log_retention_s: float = 30 * DAY_S
    own: Mapping[str, float] = field(default_factory=dict)

    def kept_s(self, tenant: str) -> float:
        """Of the own topics of a tenant, of the shared ones where it has none."""
        return self.own.get(tenant, self.log_retention_s)


@dataclass(frozen=True)
class LedgerSettings:
    """forgetting is required: a ledger without a key could erase nobody.

    batch: most records in one transaction; larger is faster, and holds the writer longer (2,000 ≈ 0.5 s).
    default_consent: what an event without a statement means (per tenant in the service's settings).
    retention_s: how long events are kept, None for ever; at least rules.dedupe_s.
    snapshots: folder for one at each round, None for none; snapshots_kept: the newest that stay.
    backups_s: how long copies are kept that we cannot reach, None where nobody said.
    """

    forgetting: Forgetting
    rules: Rules = field(default_factory=Rules)
    batch: int = 2_000
    default_consent: Consent = Consent.TRAIN
    retention_s: float | None = None
    snapshots: Path | None = None
    snapshots_kept: int = 2
    backups_s: float | None = None


class LogTheme(Theme):
    kind: Literal["sqlite", "kafka"] = "sqlite"
    """Which log is read. kafka: path, owner and retention_s are not looked at."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """The log on Apache Kafka; by default its topics are the feedback service's to make."""
    path: Path = Path("data/log.db")
    """The log's SQLite file, read beside the process that owns it."""
    owner: str = "127.0.0.1:50051"
    """Address of the process that owns the log (the feedback service): erasures are appended through it."""
    owner_token_file: Path | None = None
    """File with the bearer token for the owner; unset sends none."""
    retention_s: float = Field(default=30 * DAY_S, gt=0)
    """Seconds that the log keeps records: when the last raw copy of an erased user ends."""
    wait_s: float = Field(default=0.2, gt=0)
    """Seconds between two looks at a log that had nothing new; bounds how late the ledger is."""

    relay: bool = True
    """Only with kind: kafka. Tells signal workers (`source.log: kafka`) on the topic `evidence` what was joined; False
    where none of them runs and this process may not write there."""

    @property
    def kept_s(self) -> float:
        """Seconds that the log of this kind keeps records at most."""
        return self.kafka.longest_s if self.kind == "kafka" else self.retention_s

    @property
    def gone_s(self) -> float:
        """Seconds after which no byte of a record on shared topics is left: brokers drop a file once its newest record
        is too old, look every five minutes and wait another; the owner of a SQLite log looks every hour."""
        return self.retention_s + 3_600.0 if self.kind == "sqlite" else self.kafka.retention_s + self._dropped_s

    @property
    def own_gone_s(self) -> Mapping[str, float]:
        """The same of tenants with topics of their own."""
        of = self.kafka
        return {name: (own.retention_s or of.retention_s) + self._dropped_s for name, own in of.tenants.items()}

    @property
    def _dropped_s(self) -> float:
        return self.kafka.segment_s + 600.0


class StoreTheme(Theme):
    path: Path = Path("data/ledger.db")
    """The ledger's SQLite file; one process owns it. Its folder is made. Not read where `url` is set."""
    url: str | None = None
    """PostgreSQL instead: `postgresql+psycopg://user@host:5432/name`, without a password. Its tables are made by
    `rejoinder ledger migrate`; connections must not be pooled by transaction."""
    password_file: Path | None = None
    """File whose first line is the password for `url`, read again for every connection; unset sends none."""
    owner_wait_s: float = Field(default=30.0, ge=0)
    """Seconds that a starting process waits for the one before it to let the database go: longer than its grace."""
    retention_s: float | None = Field(default=None, gt=0)
    """Seconds that events are kept, counted in whole days from the newest; unset keeps them. At least
    `rules.dedupe_s`, or what was dropped could be stored again."""
    pair_sets: Path | None = None
    """Folder of the rounds' pair sets on this machine, which erasure must reach; unset: none lie here."""
    spools: Path | None = None
    """Folder of spools on this machine, which erasure must reach; unset: none lie here."""
    snapshots: Path | None = None
    """Folder for a snapshot of the ledger at each round: what it is rebuilt from beyond the log's retention; unset
    writes none."""
    snapshots_kept: int = Field(default=2, ge=1)
    """Newest snapshots that are kept; each is about a fifth of the ledger's size."""
    rewrite_bytes: int = Field(default=256 << 20, ge=0)
    """Bytes of the largest table, or day of one, in PostgreSQL that is written anew after an erasure. Its readers wait
    meanwhile, some seconds a gigabyte; a larger one keeps what was erased in its free space, and the ticket open."""
    backups_s: float | None = Field(default=None, ge=0)
    """Seconds that copies are kept which we cannot reach: backups of the ledger, and of a PostgreSQL server its write-
    ahead log and archive. A ticket says by it when they have ended; unset: it says that nobody told."""
    batch: int = Field(default=2_000, ge=1, le=20_000)
    """Records of one transaction; more is faster and keeps the writer longer."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        """Before anything is logged: it may hold a password that it must not hold."""
        if url is not None:
            address(url)
        return url


class RulesTheme(Theme):
    dedupe_s: float = Field(default=40 * DAY_S, gt=2 * DAY_S)
    """Seconds that an event id is remembered: at least the log's retention plus a spool's greatest age."""
    parked_s: float = Field(default=7 * DAY_S, gt=0)
    """Seconds that feedback waits for its answer; then it is an orphan."""
    parked_per_principal: int = Field(default=10_000, ge=1)
    """Feedback that may wait at once per tenant and principal; the rest counts as orphaned while it waits."""
    history_s: float = Field(default=DAY_S, gt=0)
    """Seconds back that the digest of an answer in a history may reach."""
    evidence_per_user: int | None = Field(default=400, ge=1)
    """Pieces of evidence that one user (without one: one conversation) may have in a window, unset for any number; the
    rest are kept, counted as left_out.user_cap and in no window. 400 is what 50 pairs take, the most that a round makes
    of one user, where one conversation in seven yields a pair (WildFeedback: 20,281 of 148,715)."""
    evidence_per_principal: int | None = Field(default=None, ge=1)
    """The same of one caller (principal), who could invent users. Unset, because one application speaks for everybody
    as a rule; set it where tokens are given to parties that are not trusted alike."""
    default_consent: Consent = Consent.TRAIN
    """What an event means that says nothing about consent."""


class ErasureTheme(Theme):
    key_file: Path = Path("data/key")
    """File with the secret under which subjects are named; losing it makes earlier erasures unknowable."""
    grace_s: float = Field(default=3_900.0, ge=0)
    """Seconds after a request within which records of before may still arrive: a spool's age and 5 minutes."""


class LooksTheme(Theme):
    file: Path | None = None
    """Who was given users' words: a JSON line each, on disk before they leave; without it none leave. It names answers
    and users under the key of erasures, and must outlive the process. Unset: `looks.jsonl` beside `store.path`."""


class LedgerProcess(Theme):
    server: ServerSettings = ServerSettings(port=50055)
    """The chassis."""
    log: LogTheme = LogTheme()
    """The log that is read."""
    store: StoreTheme = StoreTheme()
    """The ledger's own file."""
    rules: RulesTheme = RulesTheme()
    """What decides the ledger's content: a rebuilt ledger agrees only under the same rules."""
    erasure: ErasureTheme = ErasureTheme()
    """How users are forgotten."""
    looks: LooksTheme = LooksTheme()
    """The record of looks at users' words."""

    @property
    def looks_file(self) -> Path:
        return self.looks.file or self.store.path.with_name("looks.jsonl")

    def where(self) -> Where:
        """Where the ledger lies."""
        store = self.store
        if store.url is None:
            return store.path
        return Postgres(store.url, store.password_file, store.owner_wait_s, store.rewrite_bytes)

    def ledger(self) -> LedgerSettings:
        """The room's own settings. Raises BadSettings where the key is missing or a time too short."""
        if self.rules.dedupe_s < self.log.kept_s:
            raise BadSettings(
                "rules.dedupe_s must be at least log.retention_s (on Kafka log.kafka.retention_s, and any tenant's)"
            )
        if self.log.kafka.tenants and self.log.kind != "kafka":
            raise BadSettings(
                f"log.kafka.tenants: log.kind {self.log.kind} has one owner and no topics of single tenants"
            )
        if self.store.retention_s is not None and self.store.retention_s < self.rules.dedupe_s:
            raise BadSettings("store.retention_s must be at least rules.dedupe_s")
        key, rules = read_key(self.erasure.key_file), self.rules
        return LedgerSettings(
            Forgetting(key, self.erasure.grace_s, self.log.gone_s, self.log.own_gone_s),
            Rules(
                rules.dedupe_s,
                rules.parked_s,
                rules.parked_per_principal,
                rules.history_s,
                rules.evidence_per_user,
                rules.evidence_per_principal,
            ),
            self.store.batch,
            rules.default_consent,
            self.store.retention_s,
            self.store.snapshots,
            self.store.snapshots_kept,
            self.store.backups_s,
        )

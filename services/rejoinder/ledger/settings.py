"""What can be turned in the ledger: plain values for whoever keeps one in process, and the process's own settings
(`LedgerProcess`: file, then environment, `REJOINDER_LEDGER__LOG__PATH`), which make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Consent
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
    """

    dedupe_s: float = 37 * DAY_S
    parked_s: float = 7 * DAY_S
    parked_per_principal: int = 10_000
    history_s: float = DAY_S


@dataclass(frozen=True)
class Forgetting:
    """How erasure works.

    key: secret of the deployment; subjects, tombstones and row salts are HMACs under it. Changing it makes earlier
        erasures unknowable: keep it as long as the log.
    grace_s: records accepted up to this long after the request are dropped too: the spool's maximum age (1 h) plus 5
        minutes of clock error.
    log_retention_s: when the log itself drops the raw copy (Kafka's retention, 30 days).
    """

    key: bytes
    grace_s: float = 3_600.0 + 300.0
    log_retention_s: float = 30 * DAY_S


@dataclass(frozen=True)
class LedgerSettings:
    """forgetting is required: a ledger without a key could erase nobody.

    batch: most records in one transaction; larger is faster, and holds the writer longer (2,000 ≈ 0.5 s).
    default_consent: what an event without a statement means (per tenant in the service's settings).
    """

    forgetting: Forgetting
    rules: Rules = field(default_factory=Rules)
    batch: int = 2_000
    default_consent: Consent = Consent.TRAIN


class LogTheme(Theme):
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


class StoreTheme(Theme):
    path: Path = Path("data/ledger.db")
    """The ledger's SQLite file; one process owns it. Its folder is made."""
    pair_sets: Path | None = None
    """Folder of the rounds' pair sets on this machine, which erasure must reach; unset: none lie here."""
    batch: int = Field(default=2_000, ge=1, le=20_000)
    """Records of one transaction; more is faster and keeps the writer longer."""


class RulesTheme(Theme):
    dedupe_s: float = Field(default=40 * DAY_S, gt=2 * DAY_S)
    """Seconds that an event id is remembered: at least the log's retention plus a spool's greatest age."""
    parked_s: float = Field(default=7 * DAY_S, gt=0)
    """Seconds that feedback waits for its answer; then it is an orphan."""
    parked_per_principal: int = Field(default=10_000, ge=1)
    """Feedback that may wait at once per tenant and principal; the rest counts as orphaned while it waits."""
    history_s: float = Field(default=DAY_S, gt=0)
    """Seconds back that the digest of an answer in a history may reach."""
    default_consent: Consent = Consent.TRAIN
    """What an event means that says nothing about consent."""


class ErasureTheme(Theme):
    key_file: Path = Path("data/key")
    """File with the secret under which subjects are named; losing it makes earlier erasures unknowable."""
    grace_s: float = Field(default=3_900.0, ge=0)
    """Seconds after a request within which records of before may still arrive: a spool's age and 5 minutes."""


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

    def ledger(self) -> LedgerSettings:
        """The room's own settings. Raises BadSettings where the key is missing or the dedupe time too short."""
        if self.rules.dedupe_s < self.log.retention_s:
            raise BadSettings("rules.dedupe_s must be at least log.retention_s")
        key, rules = read_key(self.erasure.key_file), self.rules
        return LedgerSettings(
            Forgetting(key, self.erasure.grace_s, self.log.retention_s),
            Rules(rules.dedupe_s, rules.parked_s, rules.parked_per_principal, rules.history_s),
            self.store.batch,
            rules.default_consent,
        )


def read_key(path: Path) -> bytes:
    """The deployment's secret from a file: hexadecimal digits stand for bytes, anything else for itself, so that the
    process and the command line find the same users under the same file. Raises BadSettings."""
    try:
        text = path.read_bytes().strip()
    except OSError:
        raise BadSettings(f"erasure.key_file {path} cannot be read") from None
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = text
    if len(key) < 16:
        raise BadSettings("erasure.key_file holds fewer than 16 bytes")
    return key

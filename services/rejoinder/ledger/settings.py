"""What can be turned in the ledger: plain values with units; the process reads them from file and environment."""

from __future__ import annotations

from dataclasses import dataclass, field

from rejoinder.core.types import Consent

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

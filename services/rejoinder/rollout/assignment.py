"""Which arm answers this request: a pure function of the table, the caller's ids and what the replica can serve.

Order of the rules: the holdout is cut out first (by user where one is known, whatever the unit), then lapse and what
the replica lacks, then the nested bucket against the weight in force when the conversation began. A replica that
cannot serve the canary gives everybody stable with probability 1, so its traffic says nothing about the arms and
biases nothing; those whom the table would have given the canary are flagged `forced`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from rejoinder.core.arms import ArmsTable, Version, bucket, unit_id, weight_at
from rejoinder.core.ids import uuid7_time
from rejoinder.core.types import ArmKind, Served


@dataclass(frozen=True)
class Caller:
    """What the request says about whom it is for; conversation_started_at in seconds since the epoch, or None."""

    tenant: str = ""
    user_id: str = ""
    conversation_id: str = ""
    interaction_id: str = ""
    conversation_started_at: float | None = None


@dataclass(frozen=True)
class Assignment:
    """The arm shown and how it came about.

    propensity: probability of this arm given the weight in force here, over the draw of the bucket. bucket: the
    unit's place in [0, 1) under this rollout's salt. weight: the canary's weight in force (0 where it cannot be shown).
    reasons: holdout, baseline, no_canary, lapsed, forced, spool_full, sticky.
    """

    arm: ArmKind
    version: str
    digest: str
    unit: str
    propensity: float
    bucket: float
    weight: float
    reasons: tuple[str, ...] = ()

    def served(self, table: ArmsTable) -> Served:
        """The part of the interaction that says who answered."""
        return Served(
            policy=table.policy,
            version=self.version,
            digest=self.digest,
            arm=self.arm,
            propensity=self.propensity,
            bucket=self.bucket,
            generation=table.generation,
            forced="forced" in self.reasons,
            holdout="holdout" in self.reasons,
        )


def assign(
    table: ArmsTable,
    caller: Caller,
    *,
    now: float,
    lease_ok: bool,
    loaded: Container[str],
    spool_has_room: bool = True,
) -> Assignment:
    """The arm for this caller. loaded: digests this replica serves; lease_ok: lease.py's answer."""
    unit = unit_id(caller.tenant, caller.user_id, caller.conversation_id, caller.interaction_id, table.unit)
    place = bucket(unit, table.salts.assignment)
    person = unit_id(caller.tenant, caller.user_id, caller.conversation_id, caller.interaction_id)
    held = bucket(person, table.salts.holdout)
    if held < table.holdout_share:
        return _of_holdout(table, unit, place, held, loaded)

    if table.canary is None:
        return _shown(ArmKind.STABLE, table.stable, unit, place, 0.0, "no_canary")
    if not lease_ok:
        return _shown(ArmKind.STABLE, table.stable, unit, place, 0.0, "lapsed")

    weight, sticky = _weight_in_force(table, caller, now)
    chosen = place < weight
    if table.canary.digest not in loaded:
        return _shown(ArmKind.STABLE, table.stable, unit, place, 0.0, *(("forced",) if chosen else ()))
    if not spool_has_room:
        return _shown(ArmKind.STABLE, table.stable, unit, place, 0.0, "spool_full", *(("forced",) if chosen else ()))
    kind, version = (ArmKind.CANARY, table.canary) if chosen else (ArmKind.STABLE, table.stable)
    return _shown(kind, version, unit, place, weight, *(("sticky",) if sticky else ()))


def _weight_in_force(table: ArmsTable, caller: Caller, now: float) -> tuple[float, bool]:
    """The weight that binds this conversation, and whether it is an older one than the table's."""
    began = caller.conversation_started_at
    if began is None:
        began = uuid7_time(caller.conversation_id)
    if began is None or began >= now:
        return table.weight, False
    weight = weight_at(table.steps, began)
    return weight, weight != table.weight


def _of_holdout(table: ArmsTable, unit: str, place: float, held: float, loaded: Container[str]) -> Assignment:
    share = table.baseline_share if table.baseline else 0.0
    if table.baseline is None or held >= table.holdout_share * share:
        return Assignment(
            ArmKind.STABLE, table.stable.version, table.stable.digest, unit, 1.0 - share, place, 0.0, ("holdout",)
        )
    if table.baseline.digest not in loaded:
        forced = ("holdout", "forced")
        return Assignment(ArmKind.STABLE, table.stable.version, table.stable.digest, unit, 1.0, place, 0.0, forced)
    reasons = ("holdout", "baseline")
    return Assignment(ArmKind.BASELINE, table.baseline.version, table.baseline.digest, unit, share, place, 0.0, reasons)


def _shown(arm: ArmKind, version: Version, unit: str, place: float, weight: float, *reasons: str) -> Assignment:
    propensity = weight if arm is ArmKind.CANARY else 1.0 - weight
    return Assignment(arm, version.version, version.digest, unit, propensity, place, weight, reasons)

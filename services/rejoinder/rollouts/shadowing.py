"""The shadow phase as an engine, on a laptop or in a cluster, keeps it going: replicas told, their counts taken up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rejoinder.core.errors import BadSettings
from rejoinder.core.shadow import Order
from rejoinder.rollout.evidence import Evidence, parts
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.shadow import Scored, ShadowVeto, ShadowView
from rejoinder.rollout.state import SHADOW, Replica, Status
from rejoinder.rollout.vetoes import REFUSALS


def check_shadowed(replicas: Iterable[Replica]) -> None:
    """BadSettings where a replica cannot answer in a shadow phase: what it measures would be others' alone, or
    nothing. One that does not answer now is not asked."""
    if unable := [r.name for r in replicas if r.serves and not r.shadows]:
        raise BadSettings(
            f"rollout.shadow_s must be 0: {unable[0]} cannot answer in a shadow phase, as it is before another server"
            " (a gateway's backend openai) or older than this engine"
        )


def order_of(plan: RolloutPlan, status: Status) -> Order:
    """What every replica is told; it ends by itself a lease after the last time."""
    charter = plan.charter
    return Order(
        salt=status.salt,
        share=plan.shadow_share,
        unit=plan.unit,
        stable=status.stable.version,
        candidate=status.canary.version,
        candidate_digest=status.canary.digest,
        refusals=any(veto.name == REFUSALS for veto in plan.vetoes),
        norms=tuple(charter.rules[place] for place in sorted(charter.vetoes)) if charter else (),
        lasts=plan.lease_ttl_s,
    )


def stop_of(plan: RolloutPlan, status: Status) -> Order:
    """What every replica is told when it is over, or is to stand: not only when it lapses does what is being written
    for nobody make room."""
    return replace(order_of(plan, status), share=0.0)


def shadows(status: Status) -> bool:
    """Whether answers are to be given again now."""
    return status.phase == SHADOW and status.held not in ("frozen", "suspended", "busy")


def over(evidence: Evidence, plan: RolloutPlan, status: Status) -> bool:
    """Whether the rollout is in its shadow phase still, and that was kept going for its time."""
    return status.phase == SHADOW and evidence.shadow.kept_s >= plan.shadow_s


def take_up(evidence: Evidence, status: Status, found: Iterable[Scored]) -> bool:
    """Whether the counts of this rollout say anything new."""
    # A list: every one is taken.
    return any([evidence.shadow.take(scored) for scored in found if scored.salt == status.salt])


def look_at(evidence: Evidence, plan: RolloutPlan, status: Status, found: Iterable[Scored], now: float) -> bool:
    """Takes up counts and time of one look in the phase; whether there is anything to remember: time is, until it is
    over. None counts that is waited for a digest, or in which no replica is at this rollout."""
    told = [scored for scored in found if scored.salt == status.salt]
    new = take_up(evidence, status, told)
    evidence.shadow.heard = bool(told) or not shadows(status)
    if told and status.held != "digests":
        counts = not over(evidence, plan, status)
        evidence.shadow.kept(now, plan.lease_ttl_s)
        return new or counts
    return evidence.shadow.stands() or new


def shadow_views(evidence: Evidence, plan: RolloutPlan) -> tuple[ShadowVeto, ...]:
    """Every veto for people; none without the phase."""
    if not plan.shadow_s:
        return ()
    return evidence.shadow.views(parts(plan)["shadow"] * plan.alpha, plan.shadow_min_pairs)


def view_of(evidence: Evidence, plan: RolloutPlan) -> ShadowView:
    """What `decide` is told."""
    views = shadow_views(evidence, plan)
    least = min((view.count.pairs for view in views), default=0)
    fired = tuple(view.name for view in views if view.fired)
    return ShadowView(least, fired, evidence.shadow.kept_s, evidence.shadow.heard)

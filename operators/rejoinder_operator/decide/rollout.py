"""What to do next with a PolicyRollout: `rejoinder.rollout.decide`, word for word the laptop's, inside what only a
cluster has.

`decide_rollout(spec, meta, status, seen, now)` returns the first row that applies.

| row         | holds                                                            | then                              |
|-------------|------------------------------------------------------------------|-----------------------------------|
| template    | the object names no versions                                     | nothing                           |
| deleting    | it is being deleted                                              | nothing: the canary's lease lapses |
| unserved    | the registry has no served version                               | wait                              |
| moved       | not begun, and the registry serves another stable                | closed as Superseded              |
| unpublished | the registry has no canary of this name, or another digest       | wait; a live canary lapses        |
| tried       | not begun, and this version was rolled back before               | closed as Aborted                 |
| unshadowed  | not begun, and a replica cannot answer in the shadow phase asked | wait                              |
| begin       | the status has no engine part                                    | salt and beginning into the status |
| …           | else                                                             | the row of `rollout.decide`       |

The salt comes from the object's uid: a begin whose status was lost draws nobody anew. A rollout that waits begins at
each look anew, so its time to load is not used up meanwhile and nothing is written for it. Commands are annotations
that carry the arms generation they were made on; `rollout.decide` ignores them on any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.errors import BadSettings
from rejoinder.core.ids import digest_of
from rejoinder.rollout.decide import decide
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.shadow import Scored, ShadowVeto, ShadowView
from rejoinder.rollout.state import (
    ABORTED,
    CANARY,
    PROMOTED,
    SHADOW,
    SUPERSEDED,
    Action,
    Command,
    Observed,
    Pointer,
    Replica,
    Status,
)
from rejoinder.rollout.verdict import Verdict
from rejoinder.rollouts.shadowing import check_shadowed, shadows

from rejoinder_operator.api.charter import plain_of
from rejoinder_operator.api.fields import bare, seconds
from rejoinder_operator.api.rollouts import RolloutSpec
from rejoinder_operator.conditions import Say, stamp

ANNOTATIONS = {kind: f"rejoinder.dev/{kind}" for kind in ("approve", "promote", "abort")}
#: Rows that only wait: nothing but a renewal is done in them.
_STILL = {
    "hold",
    "watching",
    "frozen",
    "busy",
    "sign_canary",
    "sign_promotion",
    "loading",
    "shadowing",
    "shadow_unmeasured",
    "closed",
    "fenced",
}


#: Why a rollout that nobody has met waits for somebody.
_WAITS = ("busy", "approval", "suspended", "frozen")


@dataclass(frozen=True)
class RolloutWorld:
    """arms: None before the policy's first table. published: the canary's digest in the registry, "" for none. tried:
    why this version was rolled back before, "" if it was not. term: ours, as the writer of the arms topic. shadow: what
    was scored before exposure; unseen: the same for people, None outside the phase. rival: another rollout of the
    policy is in its shadow phase, and was before this one."""

    served: Pointer | None = None
    arms: ArmsTable | None = None
    published: str = ""
    tried: str = ""
    term: int = 0
    replicas: tuple[Replica, ...] = ()
    verdict: Verdict | None = None
    shadow: ShadowView = field(default_factory=ShadowView)
    unseen: Mapping[str, Any] | None = None
    rival: bool = False
    holdout_share: float = 0.05


@dataclass(frozen=True)
class Moved:
    """row: which one applied. engine: the decision's own status, None where there is none yet. shown: fields for
    people. decisive: rests on the evidence, which must be kept before it is done."""

    row: str
    engine: Status | None
    shown: Mapping[str, Any]
    said: tuple[Say, ...]
    actions: tuple[Action, ...] = ()
    again_s: float | None = None
    decisive: bool = False


def plan_of(spec: RolloutSpec) -> RolloutPlan:
    """The plan that the spec means. Raises BadSettings."""
    analysis = spec.analysis
    return RolloutPlan.from_mapping(
        {
            "steps": [
                {
                    "weight": step.weight / 100,
                    "duration_s": seconds(step.duration),
                    "deadline_s": seconds(step.deadline),
                    "on_inconclusive": step.on_inconclusive.lower(),
                }
                for step in spec.steps
            ],
            "unit": spec.unit,
            "alpha": float(analysis.alpha),
            "margin": float(analysis.margin),
            "min_units": analysis.min_units,
            "on_deadline": spec.on_deadline.lower(),
            "approval": spec.approval,
            "promote_on": {"notWorse": "not_worse", "better": "better"}[spec.promote_on],
            "maturity_s": seconds(analysis.maturity),
            "turns_cap": analysis.turns_cap,
            "base_rate": float(analysis.base_rate),
            "reply_rate": float(analysis.reply_rate),
            "reply_margin": float(analysis.reply_margin),
            **_shadow_of(spec),
            "watch_s": seconds(spec.watch.duration),
            "lease_ttl_s": seconds(spec.lease),
            "load_deadline_s": seconds(spec.load_deadline),
            "vetoes": [
                {
                    "name": veto.name,
                    "base_rate": float(veto.base_rate),
                    "two_sided": veto.two_sided,
                    "min_units": veto.min_units,
                    "sees": None if veto.sees is None else float(veto.sees),
                }
                for veto in analysis.vetoes
            ],
            "charter": plain_of(analysis.charter),
        }
    )


def _shadow_of(spec: RolloutSpec) -> dict[str, Any]:
    shadow = spec.shadow
    if shadow is None:
        return {}
    return {
        "shadow_s": seconds(shadow.duration),
        "shadow_share": shadow.percent / 100,
        "shadow_min_pairs": shadow.min_pairs,
        "shadow_unmeasured": shadow.on_unmeasured.lower(),
    }


def salt_of(uid: str) -> str:
    """Of a rollout's assignment."""
    return digest_of(["rollout", uid])[:32]


def commands_of(meta: Mapping[str, Any]) -> tuple[Command, ...]:
    """What people asked for by annotation; one that is no number asks for nothing."""
    found = meta.get("annotations", {})
    said = ((kind, found.get(name, "")) for kind, name in ANNOTATIONS.items())
    return tuple(Command(kind, int(text), "annotation") for kind, text in said if text.isascii() and text.isdigit())


def decide_rollout(
    spec: RolloutSpec,
    plan: RolloutPlan,
    meta: Mapping[str, Any],
    status: Mapping[str, Any],
    seen: RolloutWorld,
    now: float,
) -> Moved:
    """The next status and what to do; pure and total."""
    if spec.canary is None or spec.stable is None:
        return Moved(
            "template", None, {"phase": "Template"}, (Say("Ready", True, "Template", "a loop's rollouts copy it"),)
        )
    before = Status.from_dict(status["engine"]) if status.get("engine") else None
    if meta.get("deletionTimestamp"):
        return _waits("deleting", before, "Deleting", "the canary's lease runs out; stable stays", again_s=None)
    if before is not None and before.closed:
        return _shown("closed", before, seen, (), None)
    if seen.served is None:
        return _waits("unserved", before, "NothingServed", f"nothing is served of {spec.target.policy}")
    wanted = Version(spec.canary.version, bare(spec.canary.digest))
    named = Version(spec.stable.version, bare(spec.stable.digest))
    if before is None and seen.served.version not in (named, wanted):
        return _over(spec, seen, now, SUPERSEDED, "stable_moved", wanted)
    if seen.published != wanted.digest:
        message = "the registry has no such version" if not seen.published else "the registry has another digest"
        return _waits("unpublished", before, "DigestMismatch", f"{wanted.version}: {message}")
    if before is None and seen.tried:
        return _over(spec, seen, now, ABORTED, f"tried:{seen.tried}", wanted)
    if before is None and plan.shadow_s:
        try:
            check_shadowed(seen.replicas)
        except BadSettings as error:
            return _waits("unshadowed", None, "ShadowUnavailable", error.message)
    if before is None:
        begun = Status(salt_of(meta["uid"]), seen.served.version, wanted, seen.served.generation, now)
        return replace(_shown("begin", begun, seen, (), 0.0), decisive=False)
    if before.phase not in (CANARY, PROMOTED) and before.held in _WAITS:
        before = replace(before, began_at=now)
    observed = Observed(
        arms=seen.arms or _first_table(spec, seen),
        served=seen.served,
        term=seen.term,
        replicas=seen.replicas,
        verdict=seen.verdict,
        commands=commands_of(meta),
        suspended=spec.suspend,
        frozen=spec.freeze,
        shadow=seen.shadow,
        rival=seen.rival,
    )
    found = decide(plan, before, observed, now)
    moved = _shown(found.row, found.status, seen, found.actions, _again(plan, found.status))
    return replace(moved, decisive=found.row not in _STILL)


def goes_first(other: Status, name: str, ours: Status | None, own: str) -> bool:
    """Whether another rollout of the policy has its replicas for its shadow phase. Of two that are in it, as caches
    lag, the older one has them."""
    if other.closed or not shadows(other):
        return False
    if ours is None or ours.phase != SHADOW:
        return True
    return (other.shadow_at or 0.0, name) < (ours.shadow_at or 0.0, own)


def changed(before: Mapping[str, Any] | None, after: Status) -> bool:
    """Whether the engine's part must be written; a beginning that alone is pushed on need not be."""
    if before is None:
        return True
    old = Status.from_dict(before)
    return old != replace(after, began_at=old.began_at)


def _again(plan: RolloutPlan, status: Status) -> float | None:
    """A canary is looked at six times a lease, so that renewals are never late."""
    if status.closed:
        return None
    return plan.lease_ttl_s / 6 if status.phase == CANARY else 5.0


def _first_table(spec: RolloutSpec, seen: RolloutWorld) -> ArmsTable:
    if seen.served is None:
        raise ValueError("nothing is served")
    return ArmsTable(
        policy=spec.target.policy, stable=seen.served.version, holdout_share=seen.holdout_share, reason="registry"
    )


def _waits(row: str, before: Status | None, reason: str, message: str, again_s: float | None = 30.0) -> Moved:
    shown = {"phase": before.shown.title() if before else "Waiting", "held": reason}
    return Moved(row, before, shown, (Say("Ready", False, reason, message),), again_s=again_s)


def _over(spec: RolloutSpec, seen: RolloutWorld, now: float, phase: str, reason: str, wanted: Version) -> Moved:
    """Ended before it began."""
    if seen.served is None:
        raise ValueError("nothing is served")
    status = Status(
        "", seen.served.version, wanted, seen.served.generation, now, phase=phase, reason=reason, closed=True
    )
    return _shown("moved" if phase == SUPERSEDED else "tried", status, seen, (), None)


def _shown(row: str, status: Status, seen: RolloutWorld, actions: tuple[Action, ...], again_s: float | None) -> Moved:
    live = status.phase == CANARY and status.held != "suspended" and bool(status.steps)
    weight = round(100 * status.steps[-1].weight) if live else 0
    shown: dict[str, Any] = {
        "phase": status.shown.title(),
        "held": status.held,
        "reason": status.reason[:128],
        "weights": {"stable": 100 - weight, "canary": weight},
    }
    return Moved(row, status, shown, _says(status, seen.verdict), actions, again_s)


def _says(status: Status, verdict: Verdict | None) -> tuple[Say, ...]:
    evidence = told(verdict)
    ready = not status.closed or status.phase == PROMOTED
    why = (status.held or status.shown).replace(" ", "_")
    word = "".join(part.title() for part in why.split("_"))
    paused = status.phase == CANARY and status.held not in ("", "promoting")
    measured = verdict is not None and verdict.outcome.value != "unmeasured"
    says = [
        Say("Ready", ready, word, status.reason),
        Say("Progressing", not status.closed and not paused, word),
        Say("Paused", paused, word if paused else "NotPaused", evidence if paused else ""),
        Say("Promoted", status.phase == PROMOTED, "Promoted" if status.phase == PROMOTED else "NotPromoted"),
    ]
    if status.steps:
        reasons = "" if verdict is None else ",".join(verdict.reasons)
        says.append(
            Say("AnalysisHealthy", measured, "Measured" if measured else "Unmeasured", "" if measured else reasons)
        )
    if status.phase in (ABORTED, SUPERSEDED):
        says.append(
            Say("RolledBack", status.phase == ABORTED, status.phase.title(), f"{status.reason} {evidence}".strip())
        )
    return tuple(says)


def told(verdict: Verdict | None) -> str:
    """The evidence in one line: outcome, both arms' n and value, interval, extractor."""
    if verdict is None:
        return ""
    figures = verdict_status(verdict, 0.0)
    arms = ", ".join(f"{name} {figures[name]['value']} of {figures[name]['n']}" for name in ("stable", "canary"))
    span = "[" + ", ".join(figures["interval"]) + "]"
    said = f"{figures['outcome']} ({','.join(verdict.reasons)}): {arms}, difference {span}, by {figures['extractor']}"
    vetoes = ", ".join(f"{veto['name']} {veto['state'].lower()}" for veto in figures["vetoes"])
    return f"{said}; vetoes: {vetoes}" if vetoes else said


def _veto_status(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    arms = [found[arm] for arm in ("stable", "canary")]
    return {
        "name": name,
        "n": [arm["units"] for arm in arms],
        "harm": [f"{arm['harm'] or 0.0:.4f}" for arm in arms],
        "unread": sum(arm["unread"] for arm in arms),
        "logE": f"{found['log_e']:.3f}",
        "logNeeded": f"{found['log_needed']:.3f}",
        "state": "Fired" if found["fired"] else "Clear" if found["measured"] else "Unmeasured",
    }


def shadow_status(total: Scored, vetoes: Sequence[ShadowVeto]) -> dict[str, Any]:
    """`status.shadow`."""
    found = [
        {
            "name": veto.name,
            "pairs": veto.count.pairs,
            "harm": [veto.count.shown + veto.count.both, veto.count.candidate + veto.count.both],
            "logE": f"{veto.log_e:.3f}",
            "logNeeded": f"{veto.log_needed:.3f}",
            "state": "Fired" if veto.fired else "Clear" if veto.measured else "Unmeasured",
        }
        for veto in vetoes
    ]
    return {"pairs": total.pairs, "dropped": total.dropped, "vetoes": found}


def _charter_status(found: Mapping[str, Any]) -> dict[str, Any]:
    arms = [found["norms"].get(arm, {}) for arm in ("stable", "canary")]
    counts = {name: [arm.get(name, (0, 0)) for arm in arms] for name in arms[0]}
    norms = [
        {"id": name, "applied": [each[0] for each in both], "broken": [each[1] for each in both]}
        for name, both in counts.items()
    ]
    return {"version": found["version"], "digest": found["digest"], "norms": norms}


def verdict_status(verdict: Verdict, at: float) -> dict[str, Any]:
    """`status.verdict`."""
    snapshot = verdict.snapshot
    arms = snapshot.get("arms", {})

    def arm(name: str) -> dict[str, Any]:
        found = arms.get(name, {})
        return {"n": int(found.get("judged", 0)), "value": f"{found.get('mean', 0.0) or 0.0:.4f}"}

    charter = snapshot.get("charter")
    return {
        "outcome": verdict.outcome.value,
        "reasons": list(verdict.reasons),
        "promotable": verdict.promotable,
        "stable": arm("stable"),
        "canary": arm("canary"),
        "interval": [f"{bound:.4f}" for bound in snapshot.get("interval", ())],
        "vetoes": [_veto_status(name, found) for name, found in snapshot.get("vetoes", {}).items()],
        **({"charter": _charter_status(charter)} if charter else {}),
        "extractor": str(snapshot.get("extractor", ""))[:256],
        "digest": verdict.digest,
        "at": stamp(at),
    }

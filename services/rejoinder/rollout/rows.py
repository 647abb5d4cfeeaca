"""The rows of `decide`, one function each: the status after it and what to do, or None where it does not apply.

The table in decide.py says what each is for and in which order they are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rejoinder.core.arms import Step, Version
from rejoinder.rollout.lease import SKEW_S
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.state import (
    ABORTED,
    CANARY,
    IDLE,
    PROMOTED,
    SHADOW,
    SUPERSEDED,
    Action,
    Command,
    CreateServed,
    Load,
    Observed,
    Status,
    Unload,
)
from rejoinder.rollout.verdict import Outcome


@dataclass(frozen=True)
class Look:
    """The four inputs together, with what several rows ask of them."""

    plan: RolloutPlan
    status: Status
    seen: Observed
    now: float

    def said(self, kind: str) -> Command | None:
        """A person's command of this kind that names the table in force."""
        return next(
            (c for c in self.seen.commands if c.kind == kind and c.generation == self.seen.arms.generation), None
        )

    def signed(self, what: str) -> bool:
        return what in self.status.approved or self.said("approve") is not None

    @property
    def loaded_everywhere(self) -> bool:
        pair = (self.status.canary.version, self.status.canary.digest)
        return bool(self.seen.replicas) and all(pair in replica.serves for replica in self.seen.replicas)

    @property
    def mismatched(self) -> tuple[str, ...]:
        canary = self.status.canary
        return tuple(
            replica.name
            for replica in self.seen.replicas
            if any(version == canary.version and digest != canary.digest for version, digest in replica.serves)
        )

    @property
    def step(self) -> PlanStep:
        return self.plan.steps[min(self.status.step, len(self.plan.steps) - 1)]

    @property
    def exposes_unmeasured(self) -> bool:
        """Whether a person let the shadow phase end with too few pairs. What is asked then is asked on a table of its
        own, so it is no earlier word."""
        asked = self.status.phase == SHADOW and self.status.held == "shadow_unmeasured"
        return asked and self.said("approve") is not None

    @property
    def spent_s(self) -> float:
        return self.now - self.status.steps[-1].since

    @property
    def soaked(self) -> bool:
        return self.spent_s >= self.step.duration_s

    @property
    def last_step(self) -> bool:
        return self.status.step >= len(self.plan.steps) - 1

    @property
    def promotable(self) -> bool:
        return self.seen.verdict is not None and self.seen.verdict.promotable

    @property
    def may_advance(self) -> bool:
        if self.promotable:
            return True
        verdict = self.seen.verdict
        return (
            self.step.on_inconclusive == "advance"
            and verdict is not None
            and verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.BETTER)
            and "response_rate" not in verdict.reasons
        )


Next = tuple[Status, tuple[Action, ...]] | None


def _fenced(look: Look) -> Next:
    return (look.status, ()) if look.seen.arms.term > look.seen.term else None


def _closed(look: Look) -> Next:
    return (look.status, ()) if look.status.closed else None


def _reverted(look: Look) -> Next:
    status, served = look.status, look.seen.served
    if status.reverting and served.generation > status.served_generation and served.version == status.stable:
        return replace(status, phase=ABORTED, reason=status.reverting, closed=True), (Unload(status.canary),)
    return None


def _superseded(look: Look) -> Next:
    status, served = look.status, look.seen.served
    if served.generation <= status.served_generation:
        return None
    if status.phase != PROMOTED and served.version == status.canary:
        return None
    return replace(status, phase=SUPERSEDED, reason="superseded", held="", closed=True), ()


def _promoted(look: Look) -> Next:
    status, served = look.status, look.seen.served
    if status.phase == PROMOTED or served.generation <= status.served_generation:
        return None
    after = replace(status, phase=PROMOTED, promoted_at=look.now, served_generation=served.generation, held="")
    return after, ()


def _revert(look: Look) -> Next:
    status = look.status
    if status.phase != PROMOTED:
        return None
    command, verdict = look.said("abort"), look.seen.verdict
    worse = verdict is not None and verdict.outcome is Outcome.WORSE
    if not (command or worse or status.reverting):
        return None
    reason = status.reverting or ("abort" if command else f"worse:{','.join(verdict.reasons) if verdict else ''}")
    by = command.by if command else status.by
    after = replace(status, reverting=reason, by=by)
    return after, (_create(look, status.stable, reason, by),)


def _watch_over(look: Look) -> Next:
    status = look.status
    if status.promoted_at is None or look.now - status.promoted_at < look.plan.watch_s:
        return None
    return replace(status, closed=True, reason="promoted"), (Unload(status.stable),)


def _watching(look: Look) -> Next:
    return (look.status, ()) if look.status.phase == PROMOTED else None


def _ended(look: Look, reason: str, by: str = "") -> Next:
    after = replace(look.status, phase=ABORTED, reason=reason, by=by, held="", closed=True)
    return after, (Unload(look.status.canary),)


def _abort(look: Look) -> Next:
    command = look.said("abort")
    return _ended(look, "abort", command.by) if command else None


def _wrong_digest(look: Look) -> Next:
    return _ended(look, "wrong_digest") if look.mismatched else None


def _worse(look: Look) -> Next:
    verdict = look.seen.verdict
    if verdict is None or verdict.outcome is not Outcome.WORSE:
        return None
    return _ended(look, f"worse:{','.join(verdict.reasons)}")


def _shadow_harm(look: Look) -> Next:
    fired = look.seen.shadow.fired
    if look.status.phase != SHADOW or not fired:
        return None
    return _ended(look, f"shadow:{','.join(fired)}")


def _suspended(look: Look) -> Next:
    return (replace(look.status, held="suspended"), ()) if look.seen.suspended else None


def _frozen(look: Look) -> Next:
    return (replace(look.status, held="frozen"), ()) if look.seen.frozen else None


def _busy(look: Look) -> Next:
    arms = look.seen.arms
    live = arms.canary is not None and arms.lease is not None and look.now < arms.lease.expires_at + SKEW_S
    theirs = live and arms.canary != look.status.canary
    if look.status.phase == CANARY or not (theirs or look.seen.rival):
        return None
    return replace(look.status, held="busy", began_at=look.now), ()


def _override(look: Look) -> Next:
    command = look.said("promote")
    if command is None or not look.loaded_everywhere:
        return None
    after = replace(look.status, held="promoting", reason="override", by=command.by)
    return after, (_create(look, look.status.canary, "override", command.by),)


def _sign_canary(look: Look) -> Next:
    if look.status.phase != IDLE or look.plan.approval != "canary" or look.signed("canary"):
        return None
    return replace(look.status, held="approval", began_at=look.now), ()


def _load_deadline(look: Look) -> Next:
    status = look.status
    if status.phase == CANARY or look.loaded_everywhere or look.now - _missing_since(look) < look.plan.load_deadline_s:
        return None
    return _ended(look, "load_deadline")


def _missing_since(look: Look) -> float:
    """When replicas began to load. In the shadow phase they had it once: the time is that of this gap alone."""
    anew = look.status.phase == SHADOW and look.status.held != "digests"
    return look.now if anew else look.status.began_at


def _loading(look: Look) -> Next:
    if look.status.phase == CANARY or look.loaded_everywhere:
        return None
    after = replace(_approved(look, "canary"), held="digests", began_at=_missing_since(look))
    return after, (Load(look.status.canary),)


def _shadow(look: Look) -> Next:
    if look.status.phase != IDLE or look.plan.shadow_s == 0:
        return None
    return replace(_approved(look, "canary"), phase=SHADOW, shadow_at=look.now, held=""), ()


def _shadowing(look: Look) -> Next:
    if look.status.phase != SHADOW or look.seen.shadow.kept_s >= look.plan.shadow_s:
        return None
    return replace(look.status, held="" if look.seen.shadow.heard else "shadow_unheard"), ()


def _shadow_unmeasured(look: Look) -> Next:
    enough = look.seen.shadow.pairs >= look.plan.shadow_min_pairs
    if look.status.phase != SHADOW or enough or look.plan.shadow_unmeasured == "advance" or look.exposes_unmeasured:
        return None
    return replace(look.status, held="shadow_unmeasured"), ()


def _first_step(look: Look) -> Next:
    if look.status.phase == CANARY:
        return None
    after, command = _at_step(look, 0), look.said("approve")
    if command is not None and look.exposes_unmeasured:
        after = replace(after, approved=(*after.approved, "shadow"), by=command.by)
    return after, ()


def _sign_promotion(look: Look) -> Next:
    ready = look.last_step and look.promotable and look.soaked
    if not ready or look.plan.approval != "promotion" or look.signed("promotion"):
        return None
    return replace(look.status, held="approval"), ()


def _promote(look: Look) -> Next:
    if not (look.last_step and look.promotable and look.soaked and look.loaded_everywhere):
        return None
    after = replace(_approved(look, "promotion"), held="promoting", reason="not_worse")
    return after, (_create(look, look.status.canary, "not_worse", after.by),)


def _step(look: Look) -> Next:
    if look.last_step or not (look.soaked and look.may_advance and look.loaded_everywhere):
        return None
    return _at_step(look, look.status.step + 1), ()


def _deadline(look: Look) -> Next:
    if look.spent_s < look.step.deadline_s:
        return None
    if look.plan.on_deadline == "stable":
        return _ended(look, f"deadline:{_why_held(look) or 'soaking'}")
    return replace(look.status, held="deadline"), ()


def _hold(look: Look) -> Next:
    return replace(look.status, held=_why_held(look) if look.soaked else ""), ()


def _why_held(look: Look) -> str:
    verdict = look.seen.verdict
    if look.may_advance and not look.loaded_everywhere:
        return "digests"
    if verdict is None:
        return Outcome.UNMEASURED.value
    return "" if look.promotable else verdict.outcome.value


def _at_step(look: Look, index: int) -> Status:
    step = Step(look.plan.steps[index].weight, look.now)
    return replace(
        _approved(look, "canary") if index == 0 else look.status,
        phase=CANARY,
        step=index,
        steps=(*look.status.steps, step),
        held="",
    )


def _approved(look: Look, what: str) -> Status:
    """The status with a person's signature kept, where one was asked for and given."""
    command = look.said("approve")
    if command is None or look.plan.approval != what or what in look.status.approved:
        return look.status
    return replace(look.status, approved=(*look.status.approved, what), by=command.by)


def _create(look: Look, version: Version, reason: str, by: str) -> CreateServed:
    served, verdict = look.seen.served, look.seen.verdict
    return CreateServed(
        generation=served.generation + 1,
        version=version,
        replaces=served.generation,
        reason=reason,
        by=by,
        verdict_digest=verdict.digest if verdict else "",
        replicas=tuple(
            (replica.name, digest)
            for replica in look.seen.replicas
            for name, digest in replica.serves
            if name == version.version
        ),
    )


ROWS: tuple[tuple[str, Callable[[Look], Next]], ...] = (
    ("fenced", _fenced),
    ("closed", _closed),
    ("reverted", _reverted),
    ("superseded", _superseded),
    ("promoted", _promoted),
    ("revert", _revert),
    ("watch_over", _watch_over),
    ("watching", _watching),
    ("abort", _abort),
    ("wrong_digest", _wrong_digest),
    ("worse", _worse),
    ("shadow_harm", _shadow_harm),
    ("suspended", _suspended),
    ("frozen", _frozen),
    ("busy", _busy),
    ("override", _override),
    ("sign_canary", _sign_canary),
    ("load_deadline", _load_deadline),
    ("loading", _loading),
    ("shadow", _shadow),
    ("shadowing", _shadowing),
    ("shadow_unmeasured", _shadow_unmeasured),
    ("first_step", _first_step),
    ("sign_promotion", _sign_promotion),
    ("promote", _promote),
    ("step", _step),
    ("deadline", _deadline),
    ("hold", _hold),
)

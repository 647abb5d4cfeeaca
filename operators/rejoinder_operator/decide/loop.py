"""What to do next with a PreferenceLoop: begin a round, hand its version to a rollout, or wait and say why.

`decide_loop(spec, meta, status, seen, now)` returns the first row that applies. Actions come first and the status is
written last, so a crash in between repeats the row; claims and children are made exclusively. A retrigger alone is
written down first, and taken out at the first look at the round that it began: each value begins one.

| row        | holds                                                           | then                                 |
|------------|-----------------------------------------------------------------|--------------------------------------|
| deleting   | the loop is being deleted                                       | nothing: what is served stays        |
| unserved   | the registry has no served version of the policy                | wait                                 |
| follow     | our claim is open and its PolicyRound is not there              | create the PolicyRound               |
| running    | our claim is open                                               | wait                                 |
| rollout    | the newest ended round published, and it has had no rollout     | create the PolicyRollout             |
| no_template| the same, but the template is not there                         | wait                                 |
| rolling    | a rollout of ours is open                                       | wait                                 |
| tidy       | more ended rounds than are kept                                 | delete the oldest, with its rollout  |
| suspended  | the loop is suspended                                           | wait                                 |
| orphan     | a claim is open whose loop was in this namespace and is gone    | close it as abandoned                |
| busy       | another loop's claim is open                                    | wait                                 |
| asked      | a retrigger is in the status, and no round has followed it      | claim the next number                |
| retrigger  | the annotation has a new value                                  | into the status                      |
| trigger    | a trigger holds and minInterval has passed                      | claim the next number                |
| blind      | a trigger needs the ledger, which does not answer               | wait                                 |
| waiting    | else                                                            | wait, at most until the next moment  |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.core.ids import digest_of
from rejoinder.registry.claims import Claim
from rejoinder.rollout.state import Pointer

from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.conditions import Say, moment, stamp
from rejoinder_operator.decide.actions import Action, ClaimNumber, CloseNumber, CreateChild, Decision, DeleteChild
from rejoinder_operator.decide.jobs import owner
from rejoinder_operator.decide.recipe import recipe_of
from rejoinder_operator.decide.trigger import Due, Evidence, due

RETRIGGER = "rejoinder.dev/retrigger"
LOOP_LABEL = "rejoinder.dev/loop"


@dataclass(frozen=True)
class RoundSeen:
    """A PolicyRound of this loop. outcome: "" while it is open."""

    name: str
    uid: str
    number: int
    outcome: str = ""
    phase: str = ""
    version: str = ""
    digest: str = ""


@dataclass(frozen=True)
class RolloutSeen:
    """A PolicyRollout of this loop."""

    name: str
    uid: str
    canary: str
    closed: bool
    phase: str = ""


@dataclass(frozen=True)
class LoopSeen:
    """claims: of the policy. living: holders of this namespace's loops, where a claim is open. template: the
    template's spec, None where it is not there. asked: whether the ledger was. evidence: None where it was not, or did
    not answer. image: of our stages, by digest."""

    claims: tuple[Claim, ...] = ()
    rounds: tuple[RoundSeen, ...] = ()
    rollouts: tuple[RolloutSeen, ...] = ()
    served: Pointer | None = None
    template: Mapping[str, Any] | None = None
    evidence: Evidence | None = None
    asked: bool = False
    living: frozenset[str] = frozenset()
    image: str = ""


def holder(namespace: str, uid: str) -> str:
    """Who holds a claim: tells other clusters' namespaces and laptops from ours."""
    return f"k8s/{namespace}/{uid}"


def round_name(policy: str, number: int) -> str:
    """The version's name too."""
    return f"{policy}-r{number:04d}"


def decide_loop(
    spec: LoopSpec, meta: Mapping[str, Any], status: Mapping[str, Any], seen: LoopSeen, now: float
) -> Decision:
    """The next status and what to do; pure and total. Raises ValueError for a schedule that is none."""
    look = _Look(spec, meta, status, seen, now)
    found = next(decision for row in _ROWS if (decision := row(look)) is not None)
    served = {} if seen.served is None else _served(seen.served)
    return Decision(found.row, {**served, **found.status}, found.said, found.actions, found.again_s)


@dataclass(frozen=True)
class _Look:
    spec: LoopSpec
    meta: Mapping[str, Any]
    status: Mapping[str, Any]
    seen: LoopSeen
    now: float

    @property
    def holder(self) -> str:
        return holder(self.meta["namespace"], self.meta["uid"])

    @property
    def open_claim(self) -> Claim | None:
        return next((claim for claim in self.seen.claims if not claim.outcome), None)

    @property
    def ours(self) -> Claim | None:
        claim = self.open_claim
        return claim if claim is not None and claim.loop_uid == self.holder else None

    @property
    def newest_ended(self) -> RoundSeen | None:
        return max((each for each in self.seen.rounds if each.outcome), key=lambda r: r.number, default=None)

    @property
    def unrolled(self) -> RoundSeen | None:
        """The newest ended round, where its version is to be rolled out and has not been."""
        newest = self.newest_ended
        if self.spec.rollout is None or newest is None or newest.outcome != "published" or not newest.version:
            return None
        if newest.version == self.status.get("rollout") or any(r.name == newest.name for r in self.seen.rollouts):
            return None
        served = self.seen.served
        return None if served is not None and served.version.version == newest.version else newest

    def due(self) -> Due:
        last = max((claim.at for claim in self.seen.claims if claim.loop_uid == self.holder), default=None)
        made = moment(self.meta["creationTimestamp"])
        return due(self.spec.trigger, self.seen.evidence, last, made, self.now)

    def said(
        self,
        row: str,
        phase: str,
        reason: str,
        message: str = "",
        *,
        ready: bool = True,
        status: Mapping[str, Any] | None = None,
        actions: tuple[Action, ...] = (),
        again_s: float | None = None,
        more: tuple[Say, ...] = (),
    ) -> Decision:
        suspended = Say("Suspended", self.spec.suspend, "Suspended" if self.spec.suspend else "NotSuspended")
        says = (Say("Ready", ready, reason, message), suspended, *more)
        return Decision(row, {"phase": phase, **(status or {})}, says, actions, again_s)


def _deleting(look: _Look) -> Decision | None:
    return look.said("deleting", "Deleting", "Deleting") if look.meta.get("deletionTimestamp") else None


def _unserved(look: _Look) -> Decision | None:
    if look.seen.served is not None:
        return None
    message = f"the registry has no served version of {look.spec.policy}; publish and serve one first"
    return look.said("unserved", "Blocked", "NothingServed", message, ready=False, again_s=60.0)


def _follow(look: _Look) -> Decision | None:
    claim = look.ours
    if claim is None or any(each.number == claim.number for each in look.seen.rounds) or look.spec.suspend:
        return None
    create = CreateChild(policy_round(look.spec, look.meta, claim, look.seen))
    return look.said(
        "follow", "Round", "RoundBegan", f"round {claim.number}", status=_current(look, claim), actions=(create,)
    )


def _running(look: _Look) -> Decision | None:
    claim = look.ours
    if claim is None:
        return None
    phase = next((each.phase for each in look.seen.rounds if each.number == claim.number), "")
    reason = "Suspended" if look.spec.suspend else "RoundRunning"
    message = f"round {claim.number} {phase}".strip()
    return look.said("running", "Round", reason, message, status=_current(look, claim))


def _rollout(look: _Look) -> Decision | None:
    found = look.unrolled
    if found is None or look.seen.template is None or look.spec.suspend:
        return None
    if any(not each.closed for each in look.seen.rollouts):
        return None
    create = CreateChild(policy_rollout(look.spec, look.meta, found, look.seen))
    status = {"rollout": found.version}
    return look.said(
        "rollout", "Rollout", "RolloutBegan", f"{found.version} published", status=status, actions=(create,)
    )


def _no_template(look: _Look) -> Decision | None:
    if look.unrolled is None or look.seen.template is not None or look.spec.rollout is None:
        return None
    name = look.spec.rollout.template_ref.name
    message = f"no PolicyRollout {name} without versions is in this namespace"
    return look.said("no_template", "Blocked", "TemplateMissing", message, ready=False, again_s=60.0)


def _rolling(look: _Look) -> Decision | None:
    found = next((each for each in look.seen.rollouts if not each.closed), None)
    if found is None:
        return None
    # Again here: killed between the object and the status, a deletion would bring it back.
    status = {"rollout": found.canary}
    return look.said("rolling", "Rollout", "RolloutRunning", f"{found.canary} {found.phase}".strip(), status=status)


def _tidy(look: _Look) -> Decision | None:
    ended = sorted((each for each in look.seen.rounds if each.outcome), key=lambda r: r.number)
    if len(ended) <= look.spec.history.rounds:
        return None
    oldest = ended[0]
    away: list[Action] = [
        DeleteChild("PolicyRollout", r.name, r.uid) for r in look.seen.rollouts if r.name == oldest.name
    ]
    away.append(DeleteChild("PolicyRound", oldest.name, oldest.uid))
    return look.said("tidy", "Waiting", "Tidied", f"{oldest.name} is not kept", actions=tuple(away), again_s=0.0)


def _suspended(look: _Look) -> Decision | None:
    return look.said("suspended", "Suspended", "Suspended") if look.spec.suspend else None


def _orphan(look: _Look) -> Decision | None:
    claim, ours = look.open_claim, holder(look.meta["namespace"], "")
    if claim is None or not claim.loop_uid.startswith(ours) or claim.loop_uid in look.seen.living:
        return None
    close = CloseNumber(claim.policy, claim.number, "abandoned", ("loop_gone",))
    return look.said(
        "orphan", "Waiting", "ClaimAbandoned", f"round {claim.number} had lost its loop", actions=(close,), again_s=0.0
    )


def _busy(look: _Look) -> Decision | None:
    claim = look.open_claim
    if claim is None:
        return None
    message = f"round {claim.number} of {claim.policy} is another loop's"
    return look.said("busy", "Waiting", "PolicyBusy", message, again_s=60.0)


def _asked(look: _Look) -> Decision | None:
    if not look.status.get("asked"):
        return None
    return _begun(look, "asked", "Retriggered", "asked for by annotation")


def _retrigger(look: _Look) -> Decision | None:
    asked = look.meta.get("annotations", {}).get(RETRIGGER, "")[:128]
    if not asked or asked == look.status.get("retriggered", ""):
        return None
    status = {"retriggered": asked, "asked": True}
    return look.said("retrigger", "Round", "Retriggered", "asked for by annotation", status=status, again_s=0.0)


def _trigger(look: _Look) -> Decision | None:
    found = look.due()
    return _begun(look, "trigger", found.why, found.message) if found.why else None


def _begun(look: _Look, row: str, why: str, message: str) -> Decision:
    claim = ClaimNumber(look.spec.policy, look.holder)
    more = (Say("Triggered", True, why, message),)
    return look.said(row, "Round", "Triggered", message, actions=(claim,), again_s=0.0, more=more)


def _blind(look: _Look) -> Decision | None:
    if look.seen.evidence is not None or not look.seen.asked:
        return None
    more = (Say("SourceConnected", False, "LedgerUnavailable", "the ledger does not answer"),)
    return look.said("blind", "Waiting", "LedgerUnavailable", ready=False, again_s=60.0, more=more)


def _waiting(look: _Look) -> Decision | None:
    found = look.due()
    at = "" if found.at is None else stamp(found.at)
    again = None if found.at is None else max(0.0, found.at - look.now)
    connected = Say("SourceConnected", True, "LedgerAnswers")
    more = (Say("Triggered", False, "NotDue"), *((connected,) if look.seen.asked else ()))
    return look.said("waiting", "Waiting", "Waiting", status={"nextTriggerAt": at}, again_s=again, more=more)


_ROWS = (
    _deleting,
    _unserved,
    _follow,
    _running,
    _rollout,
    _no_template,
    _rolling,
    _tidy,
    _suspended,
    _orphan,
    _busy,
    _asked,
    _retrigger,
    _trigger,
    _blind,
    _waiting,
)
#: In the order of the table.
ROW_NAMES = tuple(row.__name__.removeprefix("_") for row in _ROWS)


def policy_round(spec: LoopSpec, meta: Mapping[str, Any], claim: Claim, seen: LoopSeen) -> dict[str, Any]:
    """The PolicyRound of a claim: all that the round is made of, as it is now."""
    recipe = recipe_of(spec, meta["name"])
    name = round_name(spec.policy, claim.number)
    written: dict[str, Any] = {
        "loop": {"name": meta["name"], "uid": claim.loop_uid},
        "policy": spec.policy,
        "number": claim.number,
        "evidence": spec.source.evidence,
        "recipe": recipe,
        "recipeDigest": digest_of(recipe),
        "baseModel": _plain(spec.base_model),
        "image": seen.image,
        "training": _plain(spec.training),
        "volume": _plain(spec.volume),
    }
    if seen.served is not None:
        written["stable"] = {"version": seen.served.version.version, "digest": seen.served.version.digest}
    return _child("PolicyRound", name, meta, written)


def policy_rollout(spec: LoopSpec, meta: Mapping[str, Any], made: RoundSeen, seen: LoopSeen) -> dict[str, Any]:
    """The PolicyRollout of a round's version: the template's spec with the two versions. Needs both in `seen`."""
    if seen.template is None or seen.served is None:
        raise ValueError("a rollout needs a template and a served version")
    stable = seen.served.version
    versions = {
        "target": {"policy": spec.policy},
        "stable": {"version": stable.version, "digest": stable.digest},
        "canary": {"version": made.version, "digest": made.digest},
    }
    return _child("PolicyRollout", made.name, meta, {**seen.template, **versions})


def _child(kind: str, name: str, meta: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {LOOP_LABEL: meta["name"], "app.kubernetes.io/managed-by": "rejoinder-operator"},
            "ownerReferences": [owner("PreferenceLoop", meta["name"], meta["uid"])],
        },
        "spec": dict(spec),
    }


def _plain(part: Any) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _current(look: _Look, claim: Claim) -> dict[str, Any]:
    name = round_name(look.spec.policy, claim.number)
    return {"currentRound": {"name": name, "number": claim.number, "startedAt": stamp(claim.at)}, "asked": False}


def _served(pointer: Pointer) -> dict[str, Any]:
    version = {"version": pointer.version.version, "digest": pointer.version.digest}
    return {"servedPolicy": version, "servedGeneration": pointer.generation}

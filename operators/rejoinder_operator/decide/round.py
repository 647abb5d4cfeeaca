"""What to do next with a PolicyRound: run its stages one after another, each attempt a Job that was written down first.

`decide_round(spec, meta, status, seen, now)` returns the first row that applies.

| row          | holds                                                        | then                                   |
|--------------|--------------------------------------------------------------|----------------------------------------|
| deleting     | the round is being deleted                                   | nothing: the loop makes it anew        |
| over         | the status has an outcome                                    | nothing                                |
| ended        | the registry says that the claim is closed                   | outcome, version and reasons in status |
| unclaimed    | the registry has no such claim: claims are never taken away  | wait: it is not the registry, or late  |
| lost         | the claim is another loop's                                  | abandoned                              |
| abort        | a person said abort, naming this number                      | Jobs deleted, claim abandoned          |
| wrong_digest | the registry has another digest than the round was made of   | claim abandoned                        |
| suspended    | the loop is suspended and no Job of the round is under way   | wait                                   |
| no_backend   | the stage trains as a kind that is not served here           | wait                                   |
| begin        | a stage has no attempt yet                                   | attempt 1 into the status              |
| create       | the attempt has no Job                                       | create it                              |
| foreign      | the Job's name belongs to somebody else's Job                | wait until it is gone                  |
| queued       | the Job is suspended: its queue has not admitted it          | wait                                   |
| not_started  | admitted, and without a ready pod for longer than allowed    | wait, and say so                       |
| running      | the Job has neither succeeded nor failed                     | wait                                   |
| refused      | it failed and says that a person must mend something         | claim abandoned                        |
| retry        | it failed, attempts are left                                 | the next attempt into the status       |
| failed       | it failed, no attempt is left                                | claim abandoned                        |
| unclosed     | the last stage succeeded and the claim is still open         | wait: the registry's answer is late    |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder.registry.claims import Claim

from rejoinder_operator.api.fields import seconds
from rejoinder_operator.api.rounds import RoundSpec
from rejoinder_operator.conditions import Say, moment, stamp
from rejoinder_operator.decide.actions import Action, CloseNumber, CreateChild, Decision, DeleteChild
from rejoinder_operator.decide.backends import JobSeen, kind_of, wrapped
from rejoinder_operator.decide.jobs import STAGES, Pods, job, job_name

ABORT = "rejoinder.dev/abort"
#: The stage's own words in a round's phase, and the condition that its end makes true.
_PHASES = {"prepare": "Preparing", "train": "Training", "finish": "Gating"}
_CONDITIONS = {"prepare": "PairsBuilt", "train": "Trained", "finish": "GatesPassed"}


@dataclass(frozen=True)
class Ended:
    """How the registry says that the round ended; version and digest are empty unless it published."""

    outcome: str
    reasons: tuple[str, ...] = ()
    version: str = ""
    digest: str = ""


@dataclass(frozen=True)
class RoundWorld:
    """claim: of this number, None where the registry has none. train: what prepare wrote down for the train stage.
    mismatched: names of digests that are not what the round was made of. suspended: the loop is. served: kinds of other
    people's that the cluster has and we may make."""

    claim: Claim | None = None
    ended: Ended | None = None
    train: Mapping[str, str] | None = None
    jobs: Mapping[str, JobSeen] = field(default_factory=dict)
    mismatched: tuple[str, ...] = ()
    suspended: bool = False
    served: frozenset[str] = frozenset()
    pods: Pods = field(default_factory=Pods)


def decide_round(
    spec: RoundSpec, meta: Mapping[str, Any], status: Mapping[str, Any], seen: RoundWorld, now: float
) -> Decision:
    """The next status and what to do; pure and total."""
    look = _Look(spec, meta, status, seen, now)
    return next(decision for row in _ROWS if (decision := row(look)) is not None)


@dataclass(frozen=True)
class _Look:
    spec: RoundSpec
    meta: Mapping[str, Any]
    status: Mapping[str, Any]
    seen: RoundWorld
    now: float

    @property
    def stages(self) -> list[dict[str, Any]]:
        return [dict(each) for each in self.status.get("stages", ())]

    @property
    def stage(self) -> str:
        """The one that is at work: the first that has not succeeded."""
        done = {each["name"] for each in self.stages if each.get("state") == "Succeeded"}
        done |= {name for name in STAGES if (found := self.job_of(name)) is not None and found.succeeded}
        return next((name for name in STAGES if name not in done), "")

    @property
    def written(self) -> dict[str, Any] | None:
        """The present stage as the status has it."""
        return next((each for each in self.stages if each["name"] == self.stage), None)

    def job_of(self, stage: str) -> JobSeen | None:
        """The Job of a stage's present attempt, where it is ours."""
        written = next((each for each in self.stages if each["name"] == stage), None)
        found = None if written is None else self.seen.jobs.get(written["job"])
        return found if found is not None and found.owner == self.meta["uid"] else None

    @property
    def job(self) -> JobSeen | None:
        return self.job_of(self.stage)

    def with_stage(self, **fields: Any) -> list[dict[str, Any]]:
        """The stages with those that have succeeded marked, and the present one changed."""
        found = [each | {"state": "Succeeded"} if self._succeeded(each) else each for each in self.stages]
        if not fields:
            return found
        rest = [each for each in found if each["name"] != self.stage]
        return [*rest, {**(self.written or {"name": self.stage}), **fields}]

    def _succeeded(self, each: Mapping[str, Any]) -> bool:
        found = self.job_of(each["name"])
        return each.get("state") == "Succeeded" or (found is not None and found.succeeded)

    def said(
        self,
        row: str,
        reason: str,
        message: str = "",
        *,
        phase: str = "",
        state: str = "",
        ready: bool | None = True,
        actions: tuple[Action, ...] = (),
        again_s: float | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Decision:
        stages = self.with_stage(state=state) if state and self.written else self.with_stage()
        status = {"phase": phase or _PHASES.get(self.stage, "Ending"), "stages": stages, **(more or {})}
        ended = [Say(_CONDITIONS[s["name"]], True, "StageSucceeded") for s in stages if s.get("state") == "Succeeded"]
        return Decision(row, status, (Say("Ready", ready, reason, message), *ended), actions, again_s)

    def abandoned(self, row: str, reason: str, message: str, word: str, *first: Action) -> Decision:
        """The claim closed by us; the next look finds it so and writes the outcome."""
        close = CloseNumber(self.spec.policy, self.spec.number, "abandoned", (word,))
        return self.said(row, reason, message, ready=False, actions=(*first, close), again_s=0.0)


def _deleting(look: _Look) -> Decision | None:
    return look.said("deleting", "Deleting") if look.meta.get("deletionTimestamp") else None


def _over(look: _Look) -> Decision | None:
    if not look.status.get("outcome"):
        return None
    kept = {"phase": look.status.get("phase", "")}
    return Decision("over", kept, ())


def _ended(look: _Look) -> Decision | None:
    ended = look.seen.ended
    if ended is None:
        return None
    more: dict[str, Any] = {"outcome": ended.outcome, "reasons": list(ended.reasons[:32])}
    if ended.digest:
        more["version"] = {"version": ended.version, "digest": ended.digest}
    passed = {"published": True, "refused": False}.get(ended.outcome)
    message = ", ".join(ended.reasons)
    found = look.said("ended", ended.outcome.title(), message, phase=ended.outcome.title(), more=more)
    gates = () if passed is None else (Say("GatesPassed", passed, ended.outcome.title(), message),)
    says = (*(say for say in found.said if say.type != "GatesPassed"), *gates)
    return Decision(found.row, found.status, says)


def _unclaimed(look: _Look) -> Decision | None:
    if look.seen.claim is not None:
        return None
    message = "the registry has no claim of this number; is it the registry that the round began in?"
    return look.said("unclaimed", "ClaimMissing", message, ready=False, again_s=60.0)


def _lost(look: _Look) -> Decision | None:
    claim = look.seen.claim
    if claim is None or claim.loop_uid == look.spec.loop.uid:
        return None
    more = {"outcome": "abandoned", "reasons": ["ClaimForeign"]}
    message = "the registry gives this number to another loop"
    return look.said("lost", "ClaimForeign", message, phase="Abandoned", ready=False, more=more)


def _abort(look: _Look) -> Decision | None:
    if look.meta.get("annotations", {}).get(ABORT) != str(look.spec.number):
        return None
    ours = [each for each in look.seen.jobs.values() if each.owner == look.meta["uid"]]
    away = tuple(DeleteChild(each.kind, each.name, each.uid) for each in ours)
    return look.abandoned("abort", "Aborted", "a person asked for it", "abort", *away)


def _wrong_digest(look: _Look) -> Decision | None:
    if not look.seen.mismatched:
        return None
    names = ", ".join(look.seen.mismatched)
    return look.abandoned("wrong_digest", "WrongDigest", f"not what the round was made of: {names}", "wrong_digest")


def _suspended(look: _Look) -> Decision | None:
    if not look.seen.suspended or look.job is not None or not look.stage:
        return None
    return look.said("suspended", "Suspended", "the loop is suspended")


def _no_backend(look: _Look) -> Decision | None:
    kind = kind_of(look.spec.training, look.stage)
    if kind == "Job" or kind in look.seen.served or look.job is not None:
        return None
    message = f"{kind} is not served here, or the operator's rounds.backends does not name it"
    return look.said("no_backend", "BackendMissing", message, ready=False, again_s=60.0)


def _begin(look: _Look) -> Decision | None:
    if not look.stage or look.written is not None:
        return None
    return _attempt(look, "begin", 1)


def _create(look: _Look) -> Decision | None:
    written = look.written
    if written is None or written["job"] in look.seen.jobs:
        return None
    if look.stage == "train" and look.seen.train is None:
        return look.said("create", "InputsLate", "what prepare wrote down is not readable yet", again_s=5.0)
    made = job(look.spec, look.meta, look.stage, written["attempt"], look.seen.train, look.seen.pods)
    if look.stage == "train":
        made = wrapped(made, look.spec.training)
    return look.said("create", "JobCreated", written["job"], state="Begun", actions=(CreateChild(made),))


def _foreign(look: _Look) -> Decision | None:
    if look.written is None or look.job is not None:
        return None
    message = f"a Job {look.written['job']} of another owner is there"
    return look.said("foreign", "NameTaken", message, ready=False, again_s=15.0)


def _queued(look: _Look) -> Decision | None:
    found = look.job
    if found is None or not found.suspended or found.succeeded or found.failed:
        return None
    message = f"{found.name} waits for queue {look.spec.training.queue_name or 'none'}"
    return look.said("queued", "Queued", message, state="Queued")


def _not_started(look: _Look) -> Decision | None:
    found, written = look.job, look.written
    if found is None or written is None or found.succeeded or found.failed or found.ready:
        return None
    if look.now < _late(look, found, written):
        return None
    message = f"{found.name} has no ready pod"
    return look.said("not_started", "AdmittedNotStarted", message, state="AdmittedNotStarted", ready=False)


def _late(look: _Look, found: JobSeen, written: Mapping[str, Any]) -> float:
    """When a Job's pod is late: the time in its queue does not count."""
    return moment(found.started or written["beganAt"]) + seconds(look.spec.training.admitted_timeout)


def _running(look: _Look) -> Decision | None:
    found, written = look.job, look.written
    if found is None or written is None or found.succeeded or found.failed:
        return None
    again = None if found.ready else max(1.0, _late(look, found, written) - look.now)
    return look.said("running", "Running", found.name, state="Running", again_s=again)


def _refused(look: _Look) -> Decision | None:
    found = look.job
    if found is None or not found.refused:
        return None
    message = f"{found.name} says that its inputs must be mended; its log says what"
    return look.abandoned("refused", "StageRefused", message, f"{look.stage}_refused")


def _retry(look: _Look) -> Decision | None:
    found, written = look.job, look.written
    if found is None or written is None or not found.failed or written["attempt"] > look.spec.training.backoff_limit:
        return None
    return _attempt(look, "retry", written["attempt"] + 1, f"{found.name}: {found.failed}")


def _failed(look: _Look) -> Decision | None:
    found = look.job
    if found is None or not found.failed:
        return None
    message = f"{found.name}: {found.failed}; no attempt is left"
    return look.abandoned("failed", "StageFailed", message, f"{look.stage}_failed")


def _unclosed(look: _Look) -> Decision | None:
    return look.said("unclosed", "OutcomeLate", "the stages are done, the registry has no outcome yet", again_s=5.0)


def _attempt(look: _Look, row: str, attempt: int, message: str = "") -> Decision:
    name = job_name(look.meta["name"], look.stage, attempt, kind_of(look.spec.training, look.stage))
    fields = {"attempt": attempt, "job": name, "state": "Begun", "beganAt": stamp(look.now)}
    status = {"phase": _PHASES[look.stage], "stages": look.with_stage(**fields)}
    return Decision(row, status, (Say("Ready", True, "AttemptBegan", message or name),), again_s=0.0)


_ROWS = (
    _deleting,
    _over,
    _ended,
    _unclaimed,
    _lost,
    _abort,
    _wrong_digest,
    _suspended,
    _no_backend,
    _begin,
    _create,
    _foreign,
    _queued,
    _not_started,
    _running,
    _refused,
    _retry,
    _failed,
    _unclosed,
)
#: In the order of the table.
ROW_NAMES = tuple(row.__name__.removeprefix("_") for row in _ROWS)

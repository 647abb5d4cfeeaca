"""One rollout as the engine holds and remembers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rejoinder.clients.ledger import Judge
from rejoinder.core.arms import Version
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.state import CANARY, PROMOTED, Pointer, Status
from rejoinder.rollout.verdict import Look, Verdict, verdict
from rejoinder.rollouts.judging import Reading, check_kept
from rejoinder.rollouts.memory import Memory


@dataclass(frozen=True)
class Trial:
    """The present rollout, or the last one. asked: its plan as a mapping. evidence is moved on in place."""

    asked: Mapping[str, Any]
    plan: RolloutPlan
    status: Status
    reading: Reading
    evidence: Evidence

    @property
    def open(self) -> bool:
        return not self.status.closed

    @property
    def exposed(self) -> bool:
        """Whether there is anything to judge."""
        return self.status.phase in (CANARY, PROMOTED)

    def judged(self, behind_s: float) -> Verdict | None:
        """The verdict on what was taken up, None before anybody saw the version.

        behind_s: an extractor that is further behind the log than this is away.
        """
        if not self.status.steps:
            return None
        reading = self.reading
        ok = reading.pinned and not reading.foreign and reading.behind_s <= behind_s
        name = ", ".join(f"{judge.extractor}@{judge.version}" for judge in reading.judges)
        if reading.second is not None:
            name += f"; audited by {reading.second.extractor}@{reading.second.version}"
        return verdict(self.evidence, self.plan, Look(ok, name, norms=reading.norms))


def begin(
    memory: Memory,
    asked: Mapping[str, Any],
    version: Version,
    served: Pointer,
    judges: Sequence[str],
    salts: Random,
    now: float,
    poll_s: float,
) -> Trial:
    """A new rollout, remembered; the one before is forgotten. Raises BadSettings for a plan that is none, or
    that this engine, which looks every poll_s seconds, cannot keep."""
    plan = RolloutPlan.from_mapping(asked)
    check_kept(plan, poll_s)
    status = Status(f"{salts.getrandbits(128):032x}", served.version, version, served.generation, now)
    trial = Trial(dict(asked), plan, status, Reading(now, tuple(Judge(name) for name in judges)), Evidence(plan))
    values = {"plan": trial.asked, "status": status.as_dict()}
    memory.write(values | taken_up(trial), fresh=True)
    return trial


def taken_up(trial: Trial) -> dict[str, Any]:
    """What is remembered with a page."""
    return {"reading": trial.reading.as_dict(), "evidence": trial.evidence.as_dict()}


def remembered(memory: Memory) -> Trial | None:
    """The rollout that an earlier process was at, bit-equal; None before the first."""
    asked = memory.read("plan")
    if asked is None:
        return None
    plan = RolloutPlan.from_mapping(asked)
    return Trial(
        asked,
        plan,
        Status.from_dict(memory.read("status")),
        Reading.from_dict(memory.read("reading")),
        Evidence.from_dict(plan, memory.read("evidence")),
    )

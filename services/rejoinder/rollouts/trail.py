"""How a verdict came about: one point whenever there is more to go by, thinned out where a rollout is long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rejoinder.clients.rollouts import TrailPoint
from rejoinder.clients.rollouts import Verdict as Shown
from rejoinder.rollout.verdict import Verdict
from rejoinder.rollouts.memory import Memory
from rejoinder.rollouts.trial import Trial

#: Points kept; beyond it every other of the older half goes, so that a trail keeps both its shape and its end.
MOST = 400


def point_of(trial: Trial, verdict: Verdict, weight: float, now: float) -> TrailPoint:
    """What is known at this look."""
    stable, canary = (trial.evidence.silence.view(name) for name in ("stable", "canary"))
    low, high = verdict.snapshot["interval"]
    both = stable.judged and canary.judged
    return TrailPoint(
        at=now,
        weight=weight,
        verdict=Shown(verdict.outcome.value.upper()),
        difference=(canary.mean or 0.0) - (stable.mean or 0.0) if both else 0.0,
        low=low,
        high=high,
        judged_canary=canary.judged,
        judged_stable=stable.judged,
    )


def trail_of(memory: Memory) -> tuple[TrailPoint, ...]:
    """Oldest first."""
    return tuple(TrailPoint(**{**each, "verdict": Shown(each["verdict"])}) for each in memory.points())


def note(memory: Memory, point: TrailPoint) -> None:
    """Keeps the point where it says more than the last one."""
    last = memory.last_point()
    if last is None or _said(last) != _said(asdict(point)):
        memory.add_point(asdict(point), thinned(memory.numbers()))


def thinned(numbers: Sequence[int]) -> Sequence[int]:
    """Which of the points go before another one comes."""
    return numbers[1 : len(numbers) // 2 : 2] if len(numbers) >= MOST else ()


def _said(point: dict[str, object]) -> tuple[object, ...]:
    return tuple(point[name] for name in ("weight", "verdict", "judged_canary", "judged_stable"))

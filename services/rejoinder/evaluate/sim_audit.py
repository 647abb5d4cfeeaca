"""The audit by simulation: does the test between the judges fire where the first judge is fooled by the canary, and
nowhere else? The cells are part of `evaluate.sim_rollout`'s report.

A cell is `runs` rollouts over users with one judged turn each; a share of them is in the sample, and each has a second
reading. Both judges err by coin, apart from the canary's displeased users of whom the first takes `fooled` for pleased.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.sim_paths import Floats, bets, log_worse, reached
from rejoinder.rollout.evidence import PARTS
from rejoinder.rollout.plan import RolloutPlan

#: The vetoes' part of the error, and how many share it here: failures, length and the audit.
ALPHA, VETOES = PARTS["vetoes"] * RolloutPlan().alpha, 3
#: Judged canary users after which a rollout is over.
HORIZON = 1200
#: Runs at a time, so that the arrays stay small.
CHUNK = 100
BETTER = "15 points better, first judge never wrong"


@dataclass(frozen=True)
class Judges:
    """base: chance of a pleased user under stable; effect: what the canary adds. first, second: share of users that
    each judge reads rightly. fooled: share of the canary's displeased users that the first takes for pleased. share: of
    judged users in the sample. drift: amplitude of a slow sine on base. sees: what the audit reckons with; the truth is
    (2 second - 1) / (2 first - 1), here .71, and .5 with a first judge that is never wrong."""

    base: float = 0.7
    effect: float = 0.0
    first: float = 0.85
    second: float = 0.75
    fooled: float = 0.0
    share: float = 0.05
    drift: float = 0.0
    sees: float = 0.5


@dataclass(frozen=True)
class Sample:
    """The audited users, in order; arrays (runs, users): arm (1 canary), weight, and both readings (1 SAT)."""

    a: Floats
    w: Floats
    first: Floats
    second: Floats


def draw(world: Judges, schedule: tuple[float, ...], runs: int, rng: np.random.Generator) -> Sample:
    """The samples of rollouts with about HORIZON judged canary users, an equal share of them at each weight."""
    per = [np.full(max(1, math.ceil(world.share * HORIZON / len(schedule) / w)), w) for w in schedule]
    w = np.concatenate(per)
    shape = (runs, len(w))
    a = (rng.random(shape) < w).astype(float)
    wave = world.drift * np.sin(2 * np.pi * np.linspace(0, 1, len(w)))
    pleased = rng.random(shape) < world.base + wave + world.effect * a
    first = np.where(rng.random(shape) < world.first, pleased, ~pleased)
    first |= (a > 0) & ~pleased & (rng.random(shape) < world.fooled)
    second = np.where(rng.random(shape) < world.second, pleased, ~pleased)
    return Sample(a, np.broadcast_to(w, shape), first.astype(float), second.astype(float))


def scores(sample: Sample, sees: float) -> Floats:
    """Second less what the first makes expected, in [0, 1]: `rollout.audit` for many runs."""
    return (1 + sample.second - sees * sample.first) / 2


def fires(sample: Sample, sees: float, sign: float = 1.0) -> np.ndarray:
    """Where the veto fires on the canary's harm (sign 1) or on its mirror (sign -1)."""
    found = bets(scores(sample, sees), sample.a, sample.w, 0.5, 0.05)
    return reached(log_worse(found, sign), math.log(VETOES / ALPHA))


def cell(world: Judges, schedule: tuple[float, ...], runs: int, seed: list[int]) -> dict[str, float]:
    """Shares of rollouts in which the veto fires, its mirror would, and the plain difference would; audited canary
    users until it fires (a run in which it does not counts all of them)."""
    parts: dict[str, list[np.ndarray]] = {"fired": [], "mirror": [], "plain": [], "at": []}
    rng = np.random.default_rng(seed)
    for start in range(0, runs, CHUNK):
        sample = draw(world, schedule, min(CHUNK, runs - start), rng)
        hits = fires(sample, world.sees)
        canaries = np.cumsum(sample.a, 1)
        first = canaries[np.arange(len(hits)), hits.argmax(1)]
        parts["fired"].append(np.any(hits, 1))
        parts["mirror"].append(np.any(fires(sample, world.sees, -1.0), 1))
        parts["plain"].append(np.any(fires(sample, 1.0), 1))
        parts["at"].append(np.where(hits.any(1), first, canaries[:, -1]))
    found = {name: float(np.concatenate(each).mean()) for name, each in parts.items()}
    return {
        "fired_rate": found["fired"],
        "mirror_rate": found["mirror"],
        "plain_difference_rate": found["plain"],
        "mean_audited_canary": found["at"],
    }


WEIGHT = (0.2,)
#: name → world, weights: where nothing is to be found. The veto must stay below its share of the error in each.
FAIR: dict[str, tuple[Judges, tuple[float, ...]]] = {
    "A/A, 5 % sampled": (Judges(), WEIGHT),
    "A/A, all sampled": (Judges(share=1.0), WEIGHT),
    "A/A, all sampled, weight 0.5, base 0.9": (Judges(base=0.9, share=1.0), (0.5,)),
    "A/A, all sampled, ramp and drift": (Judges(share=1.0, drift=0.2), (0.05, 0.20, 0.50)),
    "A/A, second judge right in 60 %": (Judges(second=0.6, share=1.0), WEIGHT),
    "15 points better, both judges err": (Judges(effect=0.15, share=1.0), WEIGHT),
    BETTER: (Judges(effect=0.15, first=1.0, share=1.0), WEIGHT),
}
#: Where the first judge is fooled by the canary alone.
FOOLED: dict[str, tuple[Judges, tuple[float, ...]]] = {
    "20 points worse, the first judge sees no difference, all sampled": (
        Judges(effect=-0.2, first=1.0, fooled=0.4, share=1.0),
        WEIGHT,
    ),
    "10 points worse, the first judge sees no difference, all sampled": (
        Judges(effect=-0.1, first=1.0, fooled=0.25, share=1.0),
        WEIGHT,
    ),
    "as good, all of the displeased misread, all sampled": (Judges(fooled=1.0, share=1.0), WEIGHT),
    "as good, half of the displeased misread, all sampled": (Judges(fooled=0.5, share=1.0), WEIGHT),
    "30 points worse, all of the displeased misread, 20 % sampled": (
        Judges(effect=-0.3, fooled=1.0, share=0.2),
        WEIGHT,
    ),
    "30 points worse, all of the displeased misread, 5 % sampled": (
        Judges(effect=-0.3, fooled=1.0, share=0.05),
        WEIGHT,
    ),
}
#: Of these the veto must catch nearly all.
CAUGHT = (
    "20 points worse, the first judge sees no difference, all sampled",
    "as good, all of the displeased misread, all sampled",
    "30 points worse, all of the displeased misread, 20 % sampled",
)


def cells(runs: int, seed: int) -> dict[str, dict[str, float]]:
    """Every cell; the same seed gives the same users."""
    return {
        name: cell(world, schedule, runs, [seed, 80, i])
        for i, (name, (world, schedule)) in enumerate({**FAIR, **FOOLED}.items())
    }


def demands(found: dict[str, dict[str, float]]) -> list[tuple[str, float, str, float]]:
    """What the report holds the cells to: (what, value, sign, limit)."""
    worst = max(found[name]["fired_rate"] for name in FAIR)
    rows = [("audit: fires without cause, worst cell", worst, "<=", ALPHA / VETOES)]
    rows += [(f"audit: {name}, caught", found[name]["fired_rate"], ">=", 0.95) for name in CAUGHT]
    control = found[BETTER]["plain_difference_rate"]
    return [*rows, ("audit: the plain difference fires on a better version", control, ">", 0.10)]

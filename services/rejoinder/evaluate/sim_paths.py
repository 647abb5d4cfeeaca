"""The verdict's processes for many runs at once: rollout.sequential in numpy, plus the simulated users that feed it.

Arrays are (runs, units) in order of maturity. A test holds these paths equal to the live, incremental form to 1e-9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.rollout.sample_ratio import PRIOR
from rejoinder.rollout.sequential import CLIP, DELTAS, LAMBDAS, NI_CLIP, PSEUDO_UNITS, VARIANCE_FLOOR

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bets:
    """What the three processes bet on, before any grid: x/v, its clip, and X/b; 0 where a unit is not used."""

    x: Floats
    clip: Floats
    gap: Floats


def bets(y: Floats, a: Floats, w: Floats, base: float, margin: float | Floats, used: Floats | None = None) -> Bets:
    """y: scores, a: 1 for canary, w: its probability, used: 1 where the unit enters this process; all (runs, units)."""
    used = np.ones_like(y) if used is None else used
    counted = y * used
    n = np.cumsum(used, 1) - used
    m = (PSEUDO_UNITS * base + np.cumsum(counted, 1) - counted) / (n + PSEUDO_UNITS)
    squares = counted * y
    v = (PSEUDO_UNITS * base + np.cumsum(squares, 1) - squares) / (n + PSEUDO_UNITS) - m * m
    v = np.maximum(v, VARIANCE_FLOOR)
    clip = CLIP * v / (np.maximum(m, 1 - m) * np.maximum(w, 1 - w))
    gap = (a / w - (1 - a) / (1 - w)) * (y - m) + margin
    gap = gap / np.maximum(m / w, (1 - m) / (1 - w)) * used
    return Bets((w - a) * (y - m) / v * used, clip, gap)


def log_worse(b: Bets, sign: float = 1.0) -> list[Floats]:
    """Log wealth of each bet on harm (sign 1) or gain (sign -1)."""
    return [np.cumsum(np.log1p(sign * np.minimum(d, b.clip) * b.x), 1) for d in DELTAS]


def log_not_worse(b: Bets) -> list[Floats]:
    return [np.cumsum(np.log1p(NI_CLIP * lam * b.gap), 1) for lam in LAMBDAS]


def log_mean(parts: list[Floats]) -> Floats:
    """Log of the mixture's wealth."""
    top = np.maximum.reduce(parts)
    return top + np.log(sum(np.exp(part - top) for part in parts) / len(parts))


def reached(parts: list[Floats], threshold: float) -> NDArray[np.bool_]:
    """Where log_mean(parts) >= threshold; runs whose greatest part stays below are not computed."""
    out = np.zeros(parts[0].shape, dtype=bool)
    rows = np.maximum.reduce([part.max(1) for part in parts]) >= threshold
    if rows.any():
        out[rows] = log_mean([part[rows] for part in parts]) >= threshold
    return out


def log_sample_ratio(a: Floats, w: float) -> Floats:
    """The sample-ratio process at one weight."""
    n = np.arange(a.shape[1])
    q = (np.cumsum(a, 1) - a + PRIOR * w) / (n + PRIOR)
    return np.cumsum(np.log(np.where(a > 0, q / w, (1 - q) / (1 - w))), 1)


@dataclass(frozen=True)
class World:
    """Simulated users. base: chance of a satisfying turn under stable; effect: what the canary adds to it; drift:
    amplitude of a slow sine on base. turns: per user; icc: correlation of a user's turns. replies: (pleased,
    displeased) reply probability of stable's users, canary_replies of the canary's. window and delay: maturity and mean
    reply delay in minutes. truth: the judge's sensitivity and specificity."""

    base: float = 0.7
    effect: float = 0.0
    drift: float = 0.0
    turns: int = 1
    icc: float = 0.25
    replies: tuple[float, float] = (0.5, 0.5)
    canary_replies: tuple[float, float] | None = None
    window: float = 30.0
    delay: float = 8.0
    truth: float = 1.0

    def rates(self, position: Floats) -> Floats:
        """Base rate over the rollout; position in [0, 1]."""
        return self.base + self.drift * np.sin(2 * np.pi * position)


@dataclass(frozen=True)
class Users:
    """Drawn users: a (arm), w, judged (0/1), y (mean score of judged turns), sat, dsat, replied: shares of turns.
    labels and seen: (turns, runs, units), each turn's label and whether it was judged."""

    a: Floats
    w: Floats
    judged: Floats
    y: Floats
    sat: Floats
    dsat: Floats
    replied: Floats
    labels: Floats
    seen: Floats


def draw(world: World, w: Floats, runs: int, rng: np.random.Generator) -> Users:
    """`runs` independent rollouts over the weights w (units,)."""
    shape = (runs, len(w))
    a = (rng.random(shape) < w).astype(float)
    p = world.rates(np.linspace(0.0, 1.0, len(w)))[None, :] + world.effect * a
    in_time = 1 - math.exp(-world.window / world.delay)
    stable, canary = world.replies, world.canary_replies or world.replies
    own = rng.random(shape) < p
    labels, seen = np.empty((world.turns, *shape)), np.empty((world.turns, *shape))
    for k in range(world.turns):
        # Each turn repeats the user's own draw with probability sqrt(icc): two turns then correlate by icc.
        pleased = own if world.turns == 1 else np.where(rng.random(shape) < world.icc**0.5, own, rng.random(shape) < p)
        pleased_rate = np.where(a > 0, canary[0], stable[0])
        displeased_rate = np.where(a > 0, canary[1], stable[1])
        seen[k] = rng.random(shape) < np.where(pleased, pleased_rate, displeased_rate) * in_time
        labels[k] = pleased if world.truth == 1 else np.where(rng.random(shape) < world.truth, pleased, ~pleased)
    count = seen.sum(0)
    sat = (labels * seen).sum(0)
    return Users(
        a=a,
        w=np.broadcast_to(w, shape),
        judged=(count > 0).astype(float),
        y=sat / np.maximum(count, 1),
        sat=sat / world.turns,
        dsat=(count - sat) / world.turns,
        replied=count / world.turns,
        labels=labels,
        seen=seen,
    )

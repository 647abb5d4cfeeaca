"""Who wants what: norms by kind of question, persons who depart from them, and how satisfied an answer leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ATTRIBUTES: Mapping[str, tuple[str, str]] = {
    "length": ("brief", "detailed"),
    "layout": ("prose", "bullets"),
    "units": ("metric", "imperial"),
}
Poles = tuple[str, ...]  # one pole of each attribute, in their order
# Over the kinds every pole of every attribute is the norm equally often, and no two attributes go together:
# no one style pleases, only the right style for the kind does.
NORMS: Mapping[str, Poles] = {
    "measure": ("brief", "prose", "metric"),
    "howto": ("detailed", "bullets", "metric"),
    "compare": ("detailed", "prose", "imperial"),
    "explain": ("brief", "bullets", "imperial"),
}
DEPARTURE = 1 / 6
PLEASED_AT_BEST = 0.95
MISMATCH_COST = (0.65, 0.85)
WRONG_FACT_COST = 0.8


@dataclass(frozen=True)
class Reading:
    """What a person sees in an answer: a pole of each attribute, "" where it shows neither; whether the facts hold."""

    poles: Poles
    right: bool


@dataclass(frozen=True)
class Person:
    """One simulated user.

    tastes: kind → wanted pole of each attribute. costs: share of satisfaction that a mismatch in each attribute
    takes away.
    """

    id: str
    tastes: Mapping[str, Poles]
    costs: tuple[float, ...]

    def satisfaction(self, kind: str, reading: Reading) -> float:
        """Probability in [0, 1] of being satisfied by an answer to a question of this kind."""
        value = PLEASED_AT_BEST * (1.0 if reading.right else 1 - WRONG_FACT_COST)
        for wanted, seen, cost in zip(self.tastes[kind], reading.poles, self.costs, strict=True):
            value *= 1.0 if wanted == seen else 1 - cost
        return value

    def displeased_by(self, kind: str, reading: Reading) -> tuple[str, ...]:
        """The poles that this person misses in an answer."""
        return tuple(w for w, seen in zip(self.tastes[kind], reading.poles, strict=True) if w != seen)


def opposite(pole: str) -> str:
    return next(a if pole == b else b for a, b in ATTRIBUTES.values() if pole in (a, b))


def people(count: int, prefix: str, rng: np.random.Generator) -> Sequence[Person]:
    """`count` persons with ids `prefix-0`…; each departs from the norm of a kind on about one attribute in six."""
    return [Person(f"{prefix}-{i}", _tastes(rng), _costs(rng)) for i in range(count)]


def _tastes(rng: np.random.Generator) -> dict[str, Poles]:
    return {
        kind: tuple(opposite(pole) if rng.random() < DEPARTURE else pole for pole in norm)
        for kind, norm in NORMS.items()
    }


def _costs(rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(c) for c in rng.uniform(*MISMATCH_COST, size=len(ATTRIBUTES)))

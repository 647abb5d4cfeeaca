"""The logic of preference losses. Richardson, Srikumar, Sabharwal, ICML 2025, arXiv 2412.17696 (row 54).

A model's prediction is a proposition with a probability: `w`, the chosen response is good; `l`, the rejected one is;
`rw`, `rl`, the same of the reference. A preference structure is a formula P, a constraint C and an additive formula A.
Its loss is log(1 + bottom / top): top sums the weights of the worlds of (P or A) and C, bottom those of (not P or A)
and C.
Structures are kept as those two sets of worlds, so that relations between losses are computed and not narrated.

Outside it: length normalisation, margins, targets (IPO) and sums of losses. They are modifiers of a core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

PROPOSITIONS = ("w", "l", "rw", "rl")
#: Every way in which the propositions can be true or false, in the order of PROPOSITIONS.
WORLDS = tuple(product((False, True), repeat=len(PROPOSITIONS)))

World = tuple[bool, ...]
Formula = Callable[[bool, bool, bool, bool], bool]


@dataclass(frozen=True)
class Structure:
    """top, bottom: worlds for and against. In both: additive; in neither: excluded by the constraint."""

    top: frozenset[World]
    bottom: frozenset[World]


def always(w: bool, l: bool, rw: bool, rl: bool) -> bool:
    return True


def never(w: bool, l: bool, rw: bool, rl: bool) -> bool:
    return False


def structure(core: Formula, constraint: Formula = always, additive: Formula = never) -> Structure:
    """From P, C and A."""
    allowed = [world for world in WORLDS if constraint(*world)]
    return Structure(
        frozenset(v for v in allowed if core(*v) or additive(*v)),
        frozenset(v for v in allowed if not core(*v) or additive(*v)),
    )


def weighed(worlds: frozenset[World], probabilities: Sequence[Any]) -> Any:
    """The sum of the worlds' weights: products of p where a proposition is true and 1 - p where it is not. Numbers or
    tensors, in the order of PROPOSITIONS."""
    found: Any = 0.0
    for world in sorted(worlds):
        weight: Any = 1.0
        for true, p in zip(world, probabilities, strict=True):
            weight = weight * (p if true else 1 - p)
        found = found + weight
    return found


def loss(compiled: Structure, probabilities: Sequence[float]) -> float:
    """-log sigmoid(log top - log bottom), by counting."""
    return math.log1p(weighed(compiled.bottom, probabilities) / weighed(compiled.top, probabilities))


def decompile(top: Callable[..., float], bottom: Callable[..., float]) -> Structure:
    """The structure of a loss log(1 + bottom / top) whose parts are multilinear in the four probabilities.

    Such a polynomial is known by its values at the corners. ValueError where a corner is neither 0 nor 1: a length, a
    margin or a power is in it.
    """
    parts = []
    for part in (top, bottom):
        corners = {world: part(*map(float, world)) for world in WORLDS}
        if not set(corners.values()) <= {0.0, 1.0}:
            raise ValueError("no sum of worlds: a corner is neither 0 nor 1")
        parts.append(frozenset(world for world, value in corners.items() if value))
    return Structure(*parts)


def relate(first: Structure, second: Structure) -> str:
    """`entails`: the first loss is nowhere below the second. `entailed`, `equivalent`, or `incomparable`."""
    down = first.top <= second.top and first.bottom >= second.bottom
    up = first.top >= second.top and first.bottom <= second.bottom
    return {(True, True): "equivalent", (True, False): "entails", (False, True): "entailed"}.get(
        (down, up), "incomparable"
    )


#: Cores of losses. dpo: the reference's propositions stand with their roles exchanged.
CORES: Mapping[str, Structure] = {
    "sft": structure(lambda w, l, rw, rl: w),
    "unlikelihood": structure(lambda w, l, rw, rl: w and not l),
    "orpo": structure(lambda w, l, rw, rl: w or not l, lambda w, l, rw, rl: w != l),
    "cpo": structure(lambda w, l, rw, rl: w or not l, lambda w, l, rw, rl: w or l, lambda w, l, rw, rl: w and l),
    "dpo": structure(
        lambda w, l, rw, rl: w and rl,
        lambda w, l, rw, rl: (w and rl) or (l and rw),
        lambda w, l, rw, rl: w and rl and l and rw,
    ),
    "implication": structure(lambda w, l, rw, rl: w or not l),
}

#: What the objectives of the training table are made of: core, and what is done to it.
MADE_OF: Mapping[str, tuple[str, str]] = {
    "dpo": ("dpo", ""),
    "rdpo": ("dpo", "both ways, by the flip probability"),
    "ln_dpo": ("dpo", "per token"),
    "ipo": ("dpo", "squared distance to a target"),
    "ipo_norm": ("dpo", "per token, squared distance to a target"),
    "rpo": ("dpo", "plus sft"),
    "vpo": ("dpo", "plus the chosen log-ratio"),
    "exo": ("dpo", "reverse divergence"),
    "dove": ("dpo", "over prompts and responses"),
    "tpo": ("dpo", "over all pairs of a list, weighed"),
    "orpo": ("orpo", "per token, plus sft"),
    "sft": ("sft", "per token"),
    "dckd": ("sft", "per token, plus a divergence from a teacher"),
    "adpa": ("sft", "per token, plus a teacher's advantage"),
    "nextquill": ("sft", "per token, weighed, plus the history's effect"),
}

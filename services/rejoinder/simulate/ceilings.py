"""The lines a learning curve is read against: what could be reached by knowing less or more of people's tastes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from rejoinder.simulate.tastes import ATTRIBUTES, NORMS, Person, Poles, Reading

STYLES: tuple[Poles, ...] = tuple(product(*ATTRIBUTES.values()))


@dataclass(frozen=True)
class Ceilings:
    """Mean satisfaction in [0, 1], every kind asked equally often and every fact right.

    constant: the best one style for everything. by_kind: the best style of each kind. optimum: each person's own.
    """

    constant: float
    constant_style: Poles
    by_kind: float
    styles_by_kind: Mapping[str, Poles]
    optimum: float


def mean_satisfaction(people: Sequence[Person], kind: str, poles: Poles) -> float:
    """Of an answer in this style with the facts right."""
    reading = Reading(poles, right=True)
    return sum(p.satisfaction(kind, reading) for p in people) / len(people)


def ceilings(people: Sequence[Person]) -> Ceilings:
    table = {kind: {style: mean_satisfaction(people, kind, style) for style in STYLES} for kind in NORMS}
    constants = {style: sum(table[kind][style] for kind in NORMS) / len(NORMS) for style in STYLES}
    best = max(constants, key=constants.__getitem__)
    by_kind = {kind: max(row, key=row.__getitem__) for kind, row in table.items()}
    own = [p.satisfaction(kind, Reading(p.tastes[kind], right=True)) for p in people for kind in NORMS]
    return Ceilings(
        constants[best],
        best,
        sum(table[kind][style] for kind, style in by_kind.items()) / len(NORMS),
        by_kind,
        sum(own) / len(own),
    )


def of_habits(people: Sequence[Person], habits: Mapping[str, Mapping[Poles, float]]) -> float:
    """Mean satisfaction of a policy that answers each kind in these shares of styles (each kind's sum to 1)."""
    shares = [
        share * mean_satisfaction(people, kind, style)
        for kind, styles in habits.items()
        for style, share in styles.items()
    ]
    return sum(shares) / len(habits)

"""What the base policy is taught: facts with their answers in every style.

facts.json is the one place of the facts. It travels with the built model, so that whoever measures the
model can know what is true without knowing how it was taught.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

FACTS = Path(__file__).with_name("facts.json")
KINDS = ("measure", "howto", "compare", "explain")
# The two poles of each style attribute; the order is that of Style's fields.
ATTRIBUTES = {"length": ("brief", "detailed"), "layout": ("prose", "bullets"), "units": ("metric", "imperial")}


def attribute_of(pole: str) -> str:
    return next(name for name, pair in ATTRIBUTES.items() if pole in pair)


def opposite(pole: str) -> str:
    """The other pole of the same attribute."""
    first, second = ATTRIBUTES[attribute_of(pole)]
    return second if pole == first else first


@dataclass(frozen=True)
class Style:
    """One pole of each attribute."""

    length: Literal["brief", "detailed"]
    layout: Literal["prose", "bullets"]
    units: Literal["metric", "imperial"]

    def having(self, poles: Sequence[str]) -> Style:
        """This style with the poles that were wished for; a later pole wins over an earlier one."""
        values = [getattr(self, name) for name in ATTRIBUTES]
        for pole in poles:
            for i, pair in enumerate(ATTRIBUTES.values()):
                if pole in pair:
                    values[i] = pole
        return Style(*values)


@dataclass(frozen=True)
class Fact:
    """One thing to know.

    topics: noun phrases or clauses that stand in the question templates of its kind.
    subject: what a right answer names, "" if nothing. metric, imperial: the same quantity in both units.
    main: sentences holding {q}, one at least; points: its bullets; more: two sentences of background.
    """

    kind: str
    topics: tuple[str, ...]
    subject: str
    metric: str
    imperial: str
    main: tuple[str, ...]
    points: tuple[str, ...]
    more: tuple[str, ...]

    def answer(self, style: Style, rng: np.random.Generator) -> str:
        """The right answer in a style; the wording of the main sentence is drawn."""
        if style.layout == "bullets":
            lines = [*self.points, *(self.more if style.length == "detailed" else ())]
            text = "\n".join(f"- {line.rstrip('.')}" for line in lines)
        else:
            main = self.main[rng.integers(len(self.main))]
            text = " ".join([main, *(self.more if style.length == "detailed" else ())])
        return text.replace("{q}", self.metric if style.units == "metric" else self.imperial)


def load(path: Path = FACTS) -> tuple[Fact, ...]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Fact(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}) for row in rows)

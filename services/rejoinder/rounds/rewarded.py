"""A round's version by the heads of the training users and of the gate's: told with the round, decided by nobody.

What comes out is figures alone; the heads are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.evaluate.measures import MEASURES, win_rate
from rejoinder.evaluate.measures.inputs import Answered
from rejoinder.evaluate.rewards import FOLDS, HEADS, preferred
from rejoinder.rounds.recipe import Gate


def rewarded(
    files: Mapping[str, Path], answered: Sequence[Answered], gate: Gate, stable: str, seed: int
) -> dict[str, Any]:
    """files: of HEADS, rows of pairs. Returns {"stable": whose answers the version's are compared with, head:
    `preferred`}; nothing where nobody answered."""
    if not answered:
        return {}
    found: dict[str, Any] = {"stable": stable}
    for number, name in enumerate(HEADS):
        # Draws of its own, so that the gate's measures are what they are without these.
        rng = np.random.default_rng([seed, number])
        folds = FOLDS if name == "gate" else 1
        found[name] = preferred(_rows(files[name]), answered, rng, least=least_of(gate), folds=folds)
    return found


def least_of(gate: Gate) -> int:
    """As many as the recipe's own win rate needs, or its default."""
    for chosen in gate.measures:
        if chosen.row == win_rate.NAME:
            return int(MEASURES[win_rate.NAME].with_params(chosen.params).min_n)
    return win_rate.Params().min_n


def _rows(path: Path) -> list[dict[str, Any]]:
    """None of them where an erasure took the file away meanwhile: this round then tells nothing of the head."""
    try:
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []

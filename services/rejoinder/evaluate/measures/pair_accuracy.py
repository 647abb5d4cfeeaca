"""Ranking accuracy on the gate's pairs, candidate against stable (arXiv 2405.19534)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, at_least, unmeasured
from rejoinder.evaluate.measures.inputs import GateInputs
from rejoinder.evaluate.ranking_accuracy import Scored, rank_report

NAME = "pair_accuracy"


@dataclass(frozen=True)
class Params:
    """min_gain: least gain of the share of pairs ranked right, [-1, 1]; min_n: pairs below which it is unmeasured."""

    min_gain: float = -0.02
    min_n: int = 200
    veto: bool = False


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """The paired gain in ranking accuracy per token; the whole report stands in the facts."""
    if not inputs.before or not inputs.after:
        return unmeasured(NAME, "no pairs of gate users", params.veto)
    report = rank_report(inputs.before, inputs.after, generator=rng, min_n=params.min_n)
    before, after = Scored.of(inputs.before), Scored.of(inputs.after)
    gain = after.right(True) - before.right(True)
    return at_least(
        NAME, list(gain), before.groups, params.min_gain, rng, min_n=params.min_n, veto=params.veto, facts=report
    )

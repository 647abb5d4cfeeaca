"""Growth of answers: three rounds of online DPO doubled them elsewhere (F03: 1,175 to 2,157 tokens)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, at_most, unmeasured
from rejoinder.evaluate.measures.inputs import GateInputs

NAME = "length"


@dataclass(frozen=True)
class Params:
    """max_growth: largest factor of the geometric mean length; its logarithm is what is averaged."""

    max_growth: float = 1.3
    min_n: int = 200
    veto: bool = True


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """Mean log ratio of candidate to stable length, in tokens, on the same prompts and seeds."""
    if not inputs.answered:
        return unmeasured(NAME, "nothing was sampled", params.veto)
    ratios = [math.log(max(a.candidate_tokens, 1) / max(a.stable_tokens, 1)) for a in inputs.answered]
    groups = [a.group for a in inputs.answered]
    return at_most(NAME, ratios, groups, math.log(params.max_growth), rng, min_n=params.min_n, veto=params.veto)

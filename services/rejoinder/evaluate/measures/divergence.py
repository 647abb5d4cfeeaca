"""Divergence from the original, whatever the objective's reference was (F04)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, Outcome, unmeasured
from rejoinder.evaluate.measures.inputs import GateInputs

NAME = "kl"


@dataclass(frozen=True)
class Params:
    """max_kl: nats per token, mean over responses. A bound on a measured number, not a test of a hypothesis."""

    max_kl: float = 1.0
    veto: bool = True


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """KL(candidate || original) as the train stage measured it on its probe pairs."""
    value = inputs.train.get("after", {}).get("kl_to_original_per_token")
    if value is None:
        return unmeasured(NAME, "the train stage reported no divergence", params.veto)
    outcome = Outcome.PASS if value <= params.max_kl else Outcome.FAIL
    return Measured(NAME, outcome, value, value, value, threshold=params.max_kl, veto=params.veto)

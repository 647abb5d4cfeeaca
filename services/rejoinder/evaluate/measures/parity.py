"""The export against the model it was made of: a deterministic check, no statistics (F12)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, Outcome, unmeasured
from rejoinder.evaluate.measures.inputs import GateInputs

NAME = "parity"


@dataclass(frozen=True)
class Params:
    """max_difference: nats, over every position and token (training/parity.py)."""

    max_difference: float = 1e-3
    veto: bool = True


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """Largest log-probability difference of export and torch; greedy answers must be equal too."""
    if not inputs.parity:
        return unmeasured(NAME, "the export was not compared", params.veto)
    value, prompts = inputs.parity["max_logp_difference"], inputs.parity["prompts"]
    equal = inputs.parity["greedy_equal"] == prompts
    outcome = Outcome.PASS if equal and value <= params.max_difference else Outcome.FAIL
    return Measured(
        NAME,
        outcome,
        value,
        value,
        value,
        prompts,
        threshold=params.max_difference,
        veto=params.veto,
        facts=inputs.parity,
    )

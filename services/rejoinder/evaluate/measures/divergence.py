"""Divergence from the original on people who were not trained on, whatever the objective's reference was (F04)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, at_most, unmeasured
from rejoinder.evaluate.measures.inputs import GateInputs

NAME = "kl"


@dataclass(frozen=True)
class Params:
    """max_kl: nats per token, mean over the gate's pairs. min_groups: users below whom it is unmeasured; a small round
    has few, and what is bounded here differs little between them."""

    max_kl: float = 1.0
    min_groups: int = 5
    veto: bool = True

    def __post_init__(self) -> None:
        if self.min_groups < 2:
            raise ValueError("min_groups must be at least 2")


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """KL(candidate || original) on the gate's pairs; the upper end of its interval must stay below the bound."""
    rows = [row for row in inputs.after if "kl_to_original" in row]
    if not rows:
        return unmeasured(NAME, "no pair of gate users with a divergence", params.veto)
    groups = [str(row["group"]) for row in rows]
    if (users := len(set(groups))) < params.min_groups:
        return unmeasured(NAME, f"{users} users are below {params.min_groups}", params.veto, len(rows))
    values = [float(row["kl_to_original"]) for row in rows]
    return at_most(NAME, values, groups, params.max_kl, rng, min_n=1, veto=params.veto)

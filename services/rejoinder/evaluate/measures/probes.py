"""Checks of answers that a candidate must not do worse on: facts, refusals, tests of one's own (F01)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, Outcome, at_least, unmeasured
from rejoinder.evaluate.measures.inputs import GateInputs

NAME = "probes"


@dataclass(frozen=True)
class Params:
    """max_fall: largest fall of the share that holds, per check, [0, 1]; min_n: answers a check applies to."""

    max_fall: float = 0.03
    min_n: int = 200
    veto: bool = True


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """The worst check decides; each stands in the facts. Without any check it is unmeasured."""
    if not inputs.checks:
        return unmeasured(NAME, "no check is configured", params.veto)
    found = []
    for name, check in inputs.checks.items():
        held = [(a.group, check(a.prompt, a.stable), check(a.prompt, a.candidate)) for a in inputs.answered]
        told = [
            (group, float(after) - float(before))
            for group, before, after in held
            if before is not None and after is not None
        ]
        values, groups = [value for _, value in told], [group for group, _ in told]
        found.append(at_least(name, values, groups, -params.max_fall, rng, min_n=params.min_n, veto=params.veto))
    order = (Outcome.FAIL, Outcome.UNMEASURED, Outcome.PASS)
    worst = min(found, key=lambda m: order.index(m.outcome))
    facts = {m.name: {"value": m.value, "low": m.low, "n": m.n, "outcome": m.outcome.value} for m in found}
    return Measured(
        NAME,
        worst.outcome,
        worst.value,
        worst.low,
        worst.high,
        worst.n,
        worst.groups,
        -params.max_fall,
        params.veto,
        worst.why,
        facts,
    )

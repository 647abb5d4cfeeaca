"""How often the gate's head prefers the candidate's answer, among answers of about equal length (F03)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.measured import Measured, at_least, unmeasured
from rejoinder.evaluate.measures.inputs import Answered, GateInputs

NAME = "win_rate"


@dataclass(frozen=True)
class Params:
    """threshold: least win rate, ties ½. ratio: longest over shortest answer that still counts as matched."""

    threshold: float = 0.45
    ratio: float = 1.25
    min_n: int = 200
    veto: bool = False


def measure(inputs: GateInputs, params: Params, rng: np.random.Generator) -> Measured:
    """The length-matched win rate; that over all answers stands in the facts."""
    scored = [a for a in inputs.answered if a.stable_score is not None and a.candidate_score is not None]
    if not scored:
        return unmeasured(NAME, inputs.unjudged or "no answer was scored", params.veto)
    matched = [a for a in scored if _ratio(a) <= params.ratio]
    everywhere = sum(map(_win, scored)) / len(scored)
    return at_least(
        NAME,
        [_win(a) for a in matched],
        [a.group for a in matched],
        params.threshold,
        rng,
        min_n=params.min_n,
        veto=params.veto,
        facts={"all": everywhere, "n_all": len(scored)},
    )


def _win(answer: Answered) -> float:
    ahead = answer.candidate_score - answer.stable_score  # type: ignore[operator]
    return 0.5 if ahead == 0 else float(ahead > 0)


def _ratio(answer: Answered) -> float:
    shorter, longer = sorted((max(answer.stable_tokens, 1), max(answer.candidate_tokens, 1)))
    return longer / shorter

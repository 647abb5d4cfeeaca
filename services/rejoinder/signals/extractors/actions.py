"""What a user does without words: asks again, walks away, copies, clicks. Weak evidence, with its weakness stated.

Confidences are assumptions, low on purpose, until an operator measures them against ratings of the same answers:
none reaches that of a word or a rating. Doing nothing is not among them: absence is no label (F08).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.types import Abandon, Click, Copy, Regenerate, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports, conclude, of_score

NAME, VERSION = "actions", "1"


@dataclass(frozen=True)
class Params:
    """Confidence that the action means satisfied (copy, click) or dissatisfied (regenerate, abandon), (0, 1).

    strength: of all four, (0, 1]. quick_abandon: seconds; leaving later than that says nothing. min_copied:
    characters; copying less may be a look-up of one word.
    """

    regenerate: float = 0.65
    abandon: float = 0.55
    copy: float = 0.65
    click: float = 0.6
    strength: float = 0.5
    quick_abandon: float = 10.0
    min_copied: int = 20


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One weak signal for each action that says something."""
    out = []
    for e in evidence:
        match e.feedback.kind:
            case Regenerate():
                verdict = of_score(-params.strength, params.regenerate)
            case Abandon(after=after) if after is not None and after <= params.quick_abandon:
                verdict = of_score(-params.strength, params.abandon)
            case Copy(characters=characters) if characters >= params.min_copied:
                verdict = of_score(params.strength, params.copy)
            case Click():
                verdict = of_score(params.strength, params.click)
            case _:
                continue
        out.append(conclude(e, verdict, NAME, VERSION))
    return tuple(out)

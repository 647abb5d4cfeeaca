"""A rating on its own scale: thumbs, stars, a score, a category.

A number maps linearly from its scale to [-1, 1]; a category by its place in the ordered list (worst first). The
middle of the scale is neither satisfied nor dissatisfied. What lies outside its scale is the sender's error and gives
no signal; a missing scale is one too, since 4 means different things out of 5 and out of 10 (F08).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.types import Rating, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports, conclude, of_score

NAME, VERSION = "ratings", "1"


@dataclass(frozen=True)
class Params:
    """confidence: that a rating means what it says, (0, 1]. dead_zone: scores of smaller size are neither, [0, 1).

    The dead zone's default keeps 3 of 5 neutral and 4 of 5 satisfied.
    """

    confidence: float = 0.95
    dead_zone: float = 0.2


def score_of(rating: Rating) -> float | None:
    """[-1, 1], or None where the rating does not lie on the scale it names."""
    if rating.category is not None:
        if rating.category not in rating.categories or len(rating.categories) < 2:
            return None
        place = rating.categories.index(rating.category) / (len(rating.categories) - 1)
    else:
        low, high = rating.scale_min, rating.scale_max
        if rating.number is None or not low < high or not low <= rating.number <= high:
            return None
        place = (rating.number - low) / (high - low)
    return 2.0 * place - 1.0


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each rating that lies on its scale."""
    out = []
    for e in evidence:
        score = score_of(e.feedback.kind) if isinstance(e.feedback.kind, Rating) else None
        if score is not None:
            score = 0.0 if abs(score) < params.dead_zone else score
            out.append(conclude(e, of_score(score, params.confidence), NAME, VERSION))
    return tuple(out)

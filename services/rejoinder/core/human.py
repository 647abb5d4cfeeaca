"""A person's label as a signal: the extractor's name, and how far its word goes."""

from __future__ import annotations

from rejoinder.core.types import Polarity

#: The extractor of signals that people made. No worker may bear the name.
EXTRACTOR = "human"
#: An assumption, stated: of twenty labels that somebody looked at by themselves, one is a slip.
CONFIDENCE = 0.95

_SIGNS = {Polarity.SAT: 1.0, Polarity.DSAT: -1.0}


def strength(polarity: Polarity) -> float:
    """Probability of SAT minus probability of DSAT."""
    return _SIGNS.get(polarity, 0.0) * (2 * CONFIDENCE - 1)

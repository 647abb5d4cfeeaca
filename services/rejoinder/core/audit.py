"""The audit sample: which turns go to a second judge, and whose signals are a second judge's.

A second judge's signals lie beside the first one's under the name of their extractor. They are held against the first's
by the ledger (`judged.py`) and are evidence of nothing else: no satisfaction, no pair.
"""

from __future__ import annotations

import hashlib

#: What the name of every second judge begins with.
PREFIX = "audit-"

#: Of judged turns in the sample, where nothing else is set.
SHARE = 0.05
#: By how much a second judge's mean satisfaction moves where the encoder's moves by one, both honest: the ratio of
#: their distances between turns that people call satisfied and dissatisfied (figures in signals/NOTES.md). One that is
#: not here counts as seeing all of it.
SEES = {"audit-lexicon": 0.5}


def is_second(extractor: str) -> bool:
    """Whether an extractor of this name is a second judge."""
    return extractor.startswith(PREFIX)


def sees(extractor: str) -> float:
    """Of a second judge by its name, (0, 1]."""
    return SEES.get(extractor, 1.0)


def sampled(seed: str, share: float, tenant: str, interaction_id: str) -> bool:
    """Whether a turn is in the sample. share: of all turns, [0, 1].

    A hash of its own: it knows nothing of the arm, and what was drawn is drawn again wherever it is asked.
    """
    drawn = hashlib.blake2b(f"{seed}\x00{tenant}\x00{interaction_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < share * 2**64

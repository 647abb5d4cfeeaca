"""The audit sample: some of what the first judge has read goes to a second one, whoever answered.

The sample is a hash of the interaction under the setting's seed: it knows nothing of the arm, and a turn that is read
again is in it again. What becomes of the second readings is decided where the arms are known (`rollout/audit.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rejoinder.core.audit import sampled
from rejoinder.core.types import Polarity, Signal
from rejoinder.signals.extractors.evidence import Evidence


class Judge(Protocol):
    """An extractor of the table, ready to read."""

    def read(self, evidence: Sequence[Evidence]) -> Sequence[Signal]: ...


class Auditor:
    """owns: `asked` and `unread`, how many turns it gave to the second judge and how many of them have no reading.

    share: of all turns, (0, 1].
    """

    def __init__(self, judge: Judge, share: float, seed: str) -> None:
        self._judge = judge
        self._share = share
        self._seed = seed
        self.asked = self.unread = 0

    def read(self, evidence: Sequence[Evidence]) -> Sequence[Signal]:
        """The second judge's signals on what of the evidence is in the sample."""
        mine = [
            e for e in evidence if sampled(self._seed, self._share, e.feedback.tenant, e.interaction.interaction_id)
        ]
        found = self._judge.read(mine) if mine else ()
        self.asked += len(found)
        self.unread += sum(signal.polarity is Polarity.UNSPECIFIED for signal in found)
        return found

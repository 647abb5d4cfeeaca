"""A second judge that counts words: the keyword patterns of the eighteen reasons, no model, nothing learnt.

It shares neither weights nor training text nor features with the encoder, so what fools the one has no reason to fool
the other; and it is much the weaker of the two: it knows English only, no quotation, no sarcasm, and no word that its
patterns lack. How weak is measured (NOTES.md). The audit asks whether it departs from the first judge *by arm*, which
needs no good judge, only one that errs alike on both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.rubric import RUBRIC
from rejoinder.core.types import Comment, FollowUp, Polarity, Reason, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports, Verdict, conclude
from rejoinder.signals.keywords import PATTERNS

NAME, VERSION = "audit-lexicon", "1"
#: A word of praise behind one of these is none.
_NOT = re.compile(
    r"\b(not|no|never|hardly|isn'?t|wasn'?t|aren'?t|don'?t|doesn'?t|didn'?t|without)\W+(\w+\W+){0,2}$", re.I
)
_FOUND = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in PATTERNS.items())


@dataclass(frozen=True)
class Params:
    """confidence: that its word is right, of SAT, DSAT and none; .67 on 200 turns of people's."""

    confidence: float = 0.65


def read(followup: str, params: Params) -> Verdict:
    """The pole with more patterns; of as many on both sides that of the last word; none where no pattern occurs."""
    text, found = followup.replace("’", "'"), []
    for name, pattern in _FOUND:
        for match in pattern.finditer(text):
            pole = RUBRIC[name].pole
            if pole is Polarity.SAT and _NOT.search(text[: match.start()]):
                name, pole = "negative_feedback", Polarity.DSAT
            found.append((match.start(), match.end(), name, pole))
            break
    if not found:
        return Verdict(Polarity.NONE, params.confidence, 0.0, 3.0)
    pleased = sum(pole is Polarity.SAT for *_, pole in found)
    lead = 2 * pleased - len(found)
    pole = max(found)[3] if lead == 0 else Polarity.SAT if lead > 0 else Polarity.DSAT
    strength = max(abs(lead), 1) / (len(found) + 1)
    reasons = tuple(Reason(name, params.confidence, start, end) for start, end, name, which in found if which is pole)
    return Verdict(
        pole, params.confidence, strength, 3.0 + 2.0 * strength * (1 if pole is Polarity.SAT else -1), reasons
    )


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each follow-up and comment."""
    mine = [(e, e.feedback.kind.text) for e in evidence if isinstance(e.feedback.kind, FollowUp | Comment)]
    return tuple(conclude(e, read(said, params), NAME, VERSION) for e, said in mine)

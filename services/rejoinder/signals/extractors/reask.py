"""The same question again: the answer missed it.

A follow-up that nearly repeats the question it follows is the clearest sign of an ignored request. Nearness is the
overlap of the two questions' content words (Dice), so that a rewording counts and a new question on the same topic
does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.types import FollowUp, Polarity, Reason, Role, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports, Verdict, conclude

NAME, VERSION = "reask", "1"
WORD = re.compile(r"\w+")
SMALL = frozenset(
    WORD.findall(
        "a an and any are be can could did do does for from give have hi how i m in is it its let me my no of ok okay "
        "on or please so some tell that the then there this to was we what when where which who why will with would "
        "yes you your again"
    )
)


@dataclass(frozen=True)
class Params:
    """near: Dice overlap of content words from which a question counts as repeated, (0, 1].

    min_words: content words below which two questions cannot be told apart. confidence: stated, not measured.
    """

    near: float = 0.8
    min_words: int = 2
    confidence: float = 0.75


def content(text: str) -> set[str]:
    return {word for word in WORD.findall(text.lower()) if word not in SMALL}


def overlap(a: str, b: str, min_words: int) -> float:
    """Dice overlap of content words; 0 where either has fewer than `min_words`."""
    x, y = content(a), content(b)
    return 2 * len(x & y) / (len(x) + len(y)) if min(len(x), len(y)) >= min_words else 0.0


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each follow-up that repeats the question before it; silence about all others."""
    out = []
    for e in evidence:
        if not isinstance(e.feedback.kind, FollowUp):
            continue
        asked = next((m.content for m in reversed(e.interaction.messages) if m.role is Role.USER), "")
        again = e.feedback.kind.text
        near = overlap(asked, again, params.min_words)
        if near >= params.near:
            start = len(again) - len(again.lstrip())
            why = (Reason("ignored", params.confidence, start, len(again.rstrip())),)
            verdict = Verdict(Polarity.DSAT, params.confidence, near, 2.0, why)
            out.append(conclude(e, verdict, NAME, VERSION))
    return tuple(out)

"""A user's edit of an answer: the more words they changed, the less it was what they wanted.

The distance is the share of words deleted or inserted (difflib's longest matching blocks). An edit as training
evidence: 2404.15269. An unchanged text is no judgement; keeping nearly everything is one in favour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rejoinder.core.types import Edit, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports, conclude, of_score

NAME, VERSION = "edit", "1"


@dataclass(frozen=True)
class Params:
    """light: distance up to which an edit is a touch-up, in favour, [0, 1). heavy: distance of full strength against.

    confidence_light, confidence_heavy: stated, not measured; an edit also happens for reasons of the editor's own.
    max_words: words compared; what follows in longer texts is left out.
    """

    light: float = 0.05
    heavy: float = 0.6
    confidence_light: float = 0.6
    confidence_heavy: float = 0.8
    max_words: int = 4000


def distance(before: str, after: str, max_words: int) -> float:
    """Share of words not kept, 0 (same words) to 1 (nothing kept)."""
    old, new = before.split()[:max_words], after.split()[:max_words]
    return 1.0 - SequenceMatcher(None, old, new, autojunk=False).ratio() if old or new else 0.0


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each edit that changed a word."""
    out = []
    for e in evidence:
        if not isinstance(e.feedback.kind, Edit):
            continue
        changed = distance(e.interaction.response, e.feedback.kind.text, params.max_words)
        if changed == 0.0:
            continue
        if changed <= params.light:
            verdict = of_score(1.0 - changed / params.light * 0.5, params.confidence_light)
        else:
            share = min(1.0, (changed - params.light) / (params.heavy - params.light))
            confidence = params.confidence_light + share * (params.confidence_heavy - params.confidence_light)
            verdict = of_score(-max(share, 0.05), confidence)
        out.append(conclude(e, verdict, NAME, VERSION))
    return tuple(out)

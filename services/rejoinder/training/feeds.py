"""What an objective reads of a pairs file, without torch: a recipe is checked by it before anything is generated.

PAIR: the best answer to a prompt and the worst. LIST: every answer, best first, each with its value. JUDGED: answers
each by itself, good or bad; a pair is one of either. JOINT: a pair whose sides may have a prompt each. HISTORY: the
chosen answer, to its prompt with the user's history and without it.
"""

from __future__ import annotations

from collections.abc import Mapping

PAIR, LIST, JUDGED, JOINT, HISTORY = "pair", "list", "judged", "joint", "history"

#: By objective: all rows of the table, and no other.
FEEDS: Mapping[str, str] = {
    "dpo": PAIR,
    "rdpo": PAIR,
    "ln_dpo": PAIR,
    "ipo": PAIR,
    "ipo_norm": PAIR,
    "rpo": PAIR,
    "vpo": PAIR,
    "orpo": PAIR,
    "exo": PAIR,
    "dove": JOINT,
    "kto": JUDGED,
    "tpo": LIST,
    "sft": PAIR,
    "dckd": PAIR,
    "adpa": PAIR,
    "nextquill": HISTORY,
}

#: What an objective can learn from: a list has a best and a worst answer, a pair a good one and a bad one.
FED_BY: Mapping[str, frozenset[str]] = {
    PAIR: frozenset({PAIR, LIST}),
    LIST: frozenset({LIST}),
    JUDGED: frozenset({PAIR, LIST, JUDGED}),
    JOINT: frozenset({PAIR, LIST, JOINT}),
    HISTORY: frozenset({PAIR, LIST, HISTORY}),
}

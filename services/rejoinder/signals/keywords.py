"""The floor under the encoder: reasons by word patterns alone. Used for comparison, and by the second judge that knows
no more than words (`extractors/lexicon.py`)."""

from __future__ import annotations

import re

PATTERNS: dict[str, str] = {
    "gratitude": r"\b(thanks?|thank you|thx|ty|appreciate\w*|grateful|cheers)\b",
    "learning": r"\b(interesting|fascinating|(did ?n[o']t|never) kn[eo]w|good to know"
    r"|surpris\w+|learn\w*|had no idea)\b",
    "compliance": r"\b(exactly (what|as)|as (i )?(asked|requested)|just what i)\b",
    "praise": r"\b(great|awesome|perfect|excellent|amazing|wonderful|nice|cool|good (idea|job|advice|answer)s?|love it"
    r"|(very|super|so) helpful|brilliant|fantastic)\b",
    "personal_detail": r"\b(my (wife|husband|son|daughter|mother|family|friends?) (will|loves?|is|are)"
    r"|i'?m (hoping|excited))\b",
    "humour": r"\b(ha(ha)+|lol|lmao|rofl|funny|hilarious)\b",
    "acknowledgement": r"\b(ok(ay)?|i see|makes sense|got it|understood|true|agree|right"
    r"|i('ll| will) (try|check|look|have to))\b",
    "positive_closure": r"\b((good)?bye|all set|that'?s all|see you|have a (good|nice|great)|talk (to you )?soon)\b",
    "getting_there": r"\b(better|closer|almost|getting there|good,? but|improvement)\b",
    "negative_feedback": r"\b(useless|terrible|awful|bad|hate|do(es)?n[o']t (work|like|help)|confus\w+|disappoint\w*"
    r"|not helpful|getting nowhere)\b",
    "revision": r"\b(rewrite|change|instead|replace|redo|rephrase|try again|i meant|add|remove|delete)\b",
    "factual_error": r"\b(wrong|incorrect|not (true|right|correct|accurate)|are you sure|mistake\w*|false|actually)\b",
    "unrealistic_expectation": r"\b(why can'?t you|you should be able|just do it)\b",
    "no_engagement": r"\b(whatever|never ?mind|stop asking|none of your)\b",
    "ignored": r"\b(i (asked|said|already told)|did ?n[o']t answer|not what i (asked|meant)"
    r"|answer (my|the) question|again)\b",
    "lower_quality": r"\b(worse|used to|previous(ly)?|before was)\b",
    "insufficient_detail": r"\b(more (detail|specific|info\w*)|elaborate|vague"
    r"|expand|explain (more|further)|cut off|too short)\b",
    "style": r"\b(too (long|formal|technical|wordy)|shorter|simpler|concise|bullet|tone|list format|summari[sz]e)\b",
}


def reasons(followup: str) -> set[str]:
    """The reasons whose pattern occurs."""
    return {name for name, pattern in PATTERNS.items() if re.search(pattern, followup, re.IGNORECASE)}

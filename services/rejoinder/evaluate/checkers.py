"""Rules that tell by machine which wishes a user voiced and whether an answer meets them.

The measurable part of user-guided evaluation. A wish that no row covers needs a judge, or stays unmeasured. No rule
here filters a pair of which it later judges the trained version.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.table import Row, Table

BULLET_SIGNS = "-*+•‣·–"
METRIC = re.compile(r"(?:kilo|centi|milli)?(?:met(?:re|er)|gram|lit(?:re|er))s?|celsius|km|cm|mm|kg|kmh|c")
IMPERIAL = re.compile(r"foot|feet|inch(?:es)?|(?:yard|mile|ounce|pound|gallon)s?|fahrenheit|ft|mph|lbs?|oz|f")


@dataclass(frozen=True)
class Limits:
    """brief_words: most words of a brief answer, 1 to 200; a detailed one has more."""

    brief_words: int = 18


def _words(text: str) -> list[str]:
    """What stands between spaces and holds a letter or a digit; list signs are no words."""
    return [w for w in text.split() if any(unicodedata.category(c)[0] in "LN" for c in w)]


def _items(text: str) -> tuple[int, int]:
    """How many lines are list items (a sign or a number, then a space), and how many lines there are."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    marked = [line for line in lines if re.match(rf"([{re.escape(BULLET_SIGNS)}]|\d+[.)])\s", line)]
    return len(marked), len(lines)


def _quantities(text: str, unit: re.Pattern[str]) -> int:
    """How many numbers are followed by one of these units, at most two words on and before the next number."""
    tokens = re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+", text.lower())
    count = 0
    for i, token in enumerate(tokens):
        if token[0].isdigit():
            after = tokens[i + 1 : i + 4]
            stop = next((j for j, t in enumerate(after) if t[0].isdigit()), len(after))
            count += any(unit.fullmatch(t) for t in after[:stop])
    return count


def brief(answer: str, limits: Limits) -> bool:
    return 0 < len(_words(answer)) <= limits.brief_words


def detailed(answer: str, limits: Limits) -> bool:
    return len(_words(answer)) > limits.brief_words


def bullets(answer: str, limits: Limits) -> bool:
    """Most lines are list items, and there is at least one."""
    marked, lines = _items(answer)
    return marked > 0 and 2 * marked > lines


def prose(answer: str, limits: Limits) -> bool:
    """There is text, and at most half of its lines are list items."""
    marked, lines = _items(answer)
    return lines > 0 and 2 * marked <= lines


def metric(answer: str, limits: Limits) -> bool:
    """A quantity in metric units, none in imperial ones."""
    return _quantities(answer, METRIC) > 0 and _quantities(answer, IMPERIAL) == 0


def imperial(answer: str, limits: Limits) -> bool:
    """A quantity in imperial units, none in metric ones."""
    return _quantities(answer, IMPERIAL) > 0 and _quantities(answer, METRIC) == 0


CHECKERS = Table(
    "checker",
    Row("brief", brief, Limits, claim="the answer is brief", traits={"against": "detailed"}),
    Row("detailed", detailed, Limits, claim="the answer goes into detail", traits={"against": "brief"}),
    Row("bullets", bullets, Limits, claim="the answer is a list", traits={"against": "prose"}),
    Row("prose", prose, Limits, claim="the answer is running text", traits={"against": "bullets"}),
    Row("metric", metric, Limits, claim="quantities are metric", traits={"against": "imperial"}),
    Row("imperial", imperial, Limits, claim="quantities are imperial", traits={"against": "metric"}),
)

# Words that name a pole, and words that call it a fault (which asks for the other pole). Whole words, any case.
_NAMES = {
    "brief": r"short|shorter|brief|briefer|briefly|concise|compact|succinct|one[- ]liner|single line|one sentence|"
    r"fewer words|less (?:text|detail)|to the point|trim|condense|tl;?dr",
    "detailed": r"longer|details|more detail|for detail|in detail|elaborate|expand|thorough|thoroughly|in depth|deeper|"
    r"more (?:context|information|facts|background|to say)|add (?:some )?(?:facts|context|background)|write more|"
    r"tell me (?:more|additional)|fuller|explain more",
    "bullets": r"bullets?|bulleted|bullet points?|list(?:s|ed)?|itemi[sz]ed?|dash(?:es)?|checklist|points(?! into)",
    "prose": r"prose|paragraphs?|sentences|flowing text|running text|continuous text|plain text|block of text",
    "metric": r"metric|celsius|centigrade|met(?:re|er)s|kilomet(?:re|er)s|kilograms?|si units",
    "imperial": r"imperial|fahrenheit|feet|miles|pounds|us units|american (?:units|measures)",
}
_FAULTS = {
    "detailed": r"(?:too|so|rather|very) (?:short|brief|thin)|bit thin|one line is too little|left out|hardly tells",
    "brief": r"too (?:long|wordy|detailed|much text)|wordy|rambling|long[- ]winded|that many words|"
    r"cut the (?:background|details?)|skip everything|lost me",
}
_REFUSALS = (
    r"\b(?:no|not|without|stop|drop|skip|never|avoid|instead of|rather than|than|beats?|hates?|annoys?|bores?|"
    r"confuses?|forget|gave|enough|dislike|why the|tiring|can ?not|can't|don't|nobody here knows|wrong)\b"
)
_REFUSED_AFTER = (
    r"^\W*(?:\w+\W+){0,2}?(?:annoys?|bores?|confuses?|feel cold|make it look|tells me nothing|is heavy|is tiring|"
    r"are not for me|was no help|instead)\b"
)
_WINDOW = 4  # words before a name in which a refusal turns it round


def voiced(text: str) -> tuple[str, ...]:
    """The machine-checkable wishes that a user's turn states, in the table's order; () where none is sure.

    A name counts for its pole, a refused or faulted one for the opposite; an attribute on which both poles
    are asked for is left out. Quoted words are somebody else's.
    """
    clean = re.sub(r"\"[^\"]*\"|“[^”]*”", " ", text.lower())
    votes = dict.fromkeys(CHECKERS, 0)
    for clause in re.split(r"[.!?;:]|, (?=but|use|give|write|switch|so\b)", clean):
        faulted = clause
        for pole, pattern in _FAULTS.items():
            faulted, hits = re.subn(rf"\b(?:{pattern})\b", " ", faulted)
            votes[pole] += hits
        for pole, pattern in _NAMES.items():
            for found in re.finditer(rf"\b(?:{pattern})\b", faulted):
                before = " ".join(faulted[: found.start()].replace(",", " , ").split()[-_WINDOW:])
                refused = re.search(_REFUSALS, before.rsplit(" ,", 1)[-1])
                turned = refused or re.search(_REFUSED_AFTER, faulted[found.end() :])
                votes[str(CHECKERS[pole].traits["against"]) if turned else pole] += 1
    return tuple(p for p, n in votes.items() if n > votes[str(CHECKERS[p].traits["against"])])


@dataclass(frozen=True)
class Checked:
    """met: share of the machine-checkable wishes that the answer meets, None if there is none; unmeasured: the rest."""

    met: float | None
    unmeasured: tuple[str, ...]


def check(answer: str, wishes: Sequence[str], limits: Limits) -> Checked:
    """Judges one answer by the wishes' names; a name without a row is unmeasured, never a failure."""
    met = [CHECKERS[w].make(answer, limits) for w in wishes if w in CHECKERS]
    return Checked(sum(met) / len(met) if met else None, tuple(w for w in wishes if w not in CHECKERS))

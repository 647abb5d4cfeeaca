"""Factors of an answer that a rule can compute, each a number of a question and an answer (2410.06965).

The paper has a large model read out its factors (fluency, hallucination, helpfulness, …); ours are those that need no
reader. `hedging` and `readability` know English alone, `refusal` English, German, French and Spanish; the others any
language that writes spaces between words. A row's `languages` trait says so; without it the row knows any.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from rejoinder.core.refusals import refuses
from rejoinder.core.table import Row, Table
from rejoinder.evaluate.checkers import BULLET_SIGNS

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_SENTENCE = re.compile(r"[.!?…]+(?=\s|$|[\"'”’)])|\n+")
_MARKED = re.compile(
    rf"^\s*(?:[{re.escape(BULLET_SIGNS)}]\s|\d+[.)]\s|#{{1,6}}\s|```|\|)|\*\*[^*\n]+\*\*", re.MULTILINE
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|likely|might|may|could|seems?|appears?|apparently|roughly|somewhat|generally"
    r"|usually|typically|often|sometimes|i (?:think|believe|guess|suppose|assume)|it depends|as far as i know"
    r"|(?:i am|i['’]m) not (?:sure|certain)|i (?:do not|don['’]t) know|not entirely|in my opinion|sort of|kind of)\b",
    re.IGNORECASE,
)
#: Words of a question that say nothing of what it is about.
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be but by can could did do does for from had has have how i if in is it its me my of "
        "on or please should so some that the their them then there they this to was we were what when where which who "
        "why will with would you your",
    )
)


@dataclass(frozen=True)
class Text:
    """One text, and what several factors want of it."""

    raw: str

    @cached_property
    def words(self) -> tuple[str, ...]:
        """In small letters, in order."""
        return tuple(_WORD.findall(self.raw.lower()))

    @cached_property
    def sentences(self) -> int:
        """How many: parts with a word between final signs or ends of lines."""
        return sum(1 for part in _SENTENCE.split(self.raw) if _WORD.search(part))


def length(question: Text, answer: Text) -> float:
    return float(len(answer.words))


def sentences(question: Text, answer: Text) -> float:
    return float(answer.sentences)


def markup(question: Text, answer: Text) -> float:
    return float(len(_MARKED.findall(answer.raw)))


def hedging(question: Text, answer: Text) -> float:
    return _per_hundred(len(_HEDGE.findall(answer.raw)), answer)


def refusal(question: Text, answer: Text) -> float:
    return float(refuses(answer.raw))


def overlap(question: Text, answer: Text) -> float:
    asked = {word for word in question.words if word not in _STOP}
    return len(asked & set(answer.words)) / len(asked) if asked else 0.0


def repetition(question: Text, answer: Text) -> float:
    runs = Counter(zip(answer.words, answer.words[1:], answer.words[2:], strict=False))
    return 1 - len(runs) / runs.total() if runs else 0.0


def readability(question: Text, answer: Text) -> float:
    """Flesch's reading ease; 0 of no word. Syllables: runs of vowels, an e at the end is mute."""
    if not answer.words:
        return 0.0
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word)))) for word in answer.words)
    count = len(answer.words)
    return 206.835 - 1.015 * count / max(1, answer.sentences) - 84.6 * syllables / count


def questions(question: Text, answer: Text) -> float:
    return float(answer.raw.count("?"))


def numbers(question: Text, answer: Text) -> float:
    return _per_hundred(sum(word[0].isdigit() for word in answer.words), answer)


def _per_hundred(count: int, answer: Text) -> float:
    return 100 * count / len(answer.words) if answer.words else 0.0


FACTORS = Table(
    "factor",
    Row("length", length, paper="2410.06965", claim="words"),
    Row("sentences", sentences, claim="sentences"),
    Row("markup", markup, claim="lines of lists, headings, tables and code, and words in bold"),
    Row("hedging", hedging, claim="words that take back certainty, of a hundred", traits={"languages": ("en",)}),
    Row("refusal", refusal, claim="1 where its opening refuses", traits={"languages": ("en", "de", "fr", "es")}),
    Row("overlap", overlap, claim="share of the question's words, less the commonest English ones, that it takes up"),
    Row("repetition", repetition, claim="share of its runs of three words that stood there before"),
    Row("readability", readability, claim="Flesch's reading ease, higher is easier", traits={"languages": ("en",)}),
    Row("questions", questions, claim="question marks: it asks back"),
    Row("numbers", numbers, claim="words that begin with a digit, of a hundred"),
)

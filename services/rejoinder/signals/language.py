"""Whether words are in a language that the encoder was not trained on: then nothing it says of them means anything.

It learnt English. Told by script, and by the small words (data/smallwords.txt) that a sentence of a language can hardly
do without: they are few, no model is needed, and what says little stays English (`ok`, names, code). It errs towards
reading: a single word, or a turn in a language of Latin script that is not in the list, is read as if it were English.
Code and names are full of such words (`var min`, `os`, Los Angeles, Las Vegas), so lines of code, addresses and what is
written with a capital within a sentence prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SMALL_WORDS = Path(__file__).parent / "data" / "smallwords.txt"
KNOWN = "English"
#: Small words of one language that prove it; one may be a name, or a word that a speaker of English has borrowed.
LEAST = 2
#: The last letter of Latin Extended-B; every other script lies behind it.
_LATIN_ENDS = 0x24F
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_QUOTED_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
_ADDRESS = re.compile(r"\bhttps?://\S+")
_LINE_OF_CODE = re.compile(r"^.*(?:[={}]|\w\(|;[ \t]*$).*$", re.MULTILINE)
_SENTENCE_ENDS = re.compile(r"[.!?…:\n]+")


@cache
def small_words() -> dict[str, frozenset[str]]:
    """By language; what is also English stands there alone."""
    lists: dict[str, set[str]] = {}
    for line in SMALL_WORDS.read_text("utf-8").splitlines():
        if line.startswith("== "):
            words = lists.setdefault(line[3:], set())
        elif line and not line.startswith("#"):
            words.update(line.split())
    english = lists.pop(KNOWN)
    return {KNOWN: frozenset(english)} | {name: frozenset(words - english) for name, words in lists.items()}


def is_unknown(text: str) -> bool:
    """Whether the words are surely not English. Text without letters is no language's, and not unknown."""
    text = _QUOTED_CODE.sub(" ", text)
    letters = [char for char in text if char.isalpha()]
    if 2 * sum(ord(char) > _LATIN_ENDS for char in letters) > len(letters):
        return True
    prose = _LINE_OF_CODE.sub("", _ADDRESS.sub(" ", text))
    words = {_plain(word) for word in _WORD.findall(prose)}
    uncapitalised = words if prose.isupper() else set(_uncapitalised(prose))
    counts = {language: len(uncapitalised & small) for language, small in small_words().items() if language != KNOWN}
    # The language alone counts that has most of them: two words of two languages prove nothing.
    foreign = max(counts.values())
    return foreign >= LEAST and foreign > 2 * len(words & small_words()[KNOWN])


def _uncapitalised(prose: str) -> Iterator[str]:
    """Words without a capital but at the beginning of a sentence."""
    for sentence in _SENTENCE_ENDS.split(prose):
        for place, word in enumerate(_WORD.findall(sentence)):
            if not place or word[0].islower():
                yield _plain(word)


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")

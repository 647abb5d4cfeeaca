"""Feedback events, and a text model whose scorer is a word list: behaviour without weights."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from rejoinder.core.rubric import NAMES, RUBRIC
from rejoinder.core.types import Feedback, Interaction, Kind, Message, Role
from rejoinder.signals.calibration import Calibration
from rejoinder.signals.extractors.evidence import Evidence, Logits, Ports, TextModel

WORDS = {"thanks": "gratitude", "wrong": "factual_error", "shorter": "style", "perfect": "praise"}


class WordTokenizer:
    """Words as tokens; a token's id is its place in a vocabulary that grows. owns: the vocabulary."""

    def __init__(self) -> None:
        self.words = ["[CLS]", "[SEP]"]

    def encode(self, sequence: str, *, add_special_tokens: bool):
        found = list(re.finditer(r"\w+", sequence))
        for word in found:
            if word[0].lower() not in self.words:
                self.words.append(word[0].lower())
        ids = [self.words.index(word[0].lower()) for word in found]
        return type("Tokens", (), {"ids": ids, "offsets": [word.span() for word in found]})

    def token_to_id(self, token: str) -> int:
        return self.words.index(token)


class WordListScorer:
    """Scores 6 for a reason at each of its words in the follow-up, -6 elsewhere. owns: the batch sizes it saw."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self.tokenizer = tokenizer
        self.sizes: list[int] = []

    def score(self, rows):
        self.sizes.append(len(rows))
        return [self._one(row) for row in rows]

    def _one(self, row) -> Logits:
        mine = [self.tokenizer.words[i] for i, kind in zip(row.ids, row.types, strict=True) if kind == 1]
        tokens = np.full((len(mine), len(NAMES)), -6.0)
        for t, word in enumerate(mine):
            if word in WORDS:
                tokens[t, NAMES.index(WORDS[word])] = 6.0
        rubric = tokens.max(0) if mine else np.full(len(NAMES), -6.0)
        pole = sum((1 if RUBRIC[WORDS[w]].pole == "SAT" else -1) for w in mine if w in WORDS)
        polarity = np.array([-3.0 * pole, 1.0, 3.0 * pole])
        level = np.zeros(5)
        level[2 + int(np.sign(pole)) * 2] = 8.0
        return Logits(polarity, level, np.zeros(2), rubric, tokens)


@pytest.fixture
def scorer() -> WordListScorer:
    return WordListScorer(WordTokenizer())


class OneWord:
    """A server that says one word to everything. owns: what it was asked."""

    model = "judge-v1"

    def __init__(self, word: str | None) -> None:
        self.word = word
        self.talks: list[tuple[Message, ...]] = []

    def ask(self, talks):
        self.talks += talks
        return [self.word for _ in talks]


@pytest.fixture
def one_word() -> type[OneWord]:
    return OneWord


@pytest.fixture
def ports(scorer) -> Ports:
    reasons = tuple((name, row.pole) for name, row in RUBRIC.items())
    return Ports(TextModel(scorer, scorer.tokenizer, Calibration(), reasons, "words-v1@0"), OneWord("DSAT"))


@pytest.fixture
def about() -> Callable[..., Evidence]:
    def make(kind: Kind, *, response: str = "Rome lies on the Tiber.", asked: str = "Where does Rome lie?") -> Evidence:
        interaction = Interaction(
            tenant="t",
            event_id="i1",
            interaction_id="i1",
            attempt_id="i1.0",
            user_id="u1",
            messages=(Message(Role.USER, asked),),
            response=response,
        )
        feedback = Feedback(tenant="t", event_id="f1", interaction_id="i1", user_id="u1", occurred_at=5.0, kind=kind)
        return Evidence(interaction, feedback)

    return make

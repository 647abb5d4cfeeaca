"""What the base policy can express: it is what preference training can later choose from.

Everything is measured on answers sampled token by token at temperature 1 to questions that were held out.
An answer counts as right only if it is, letter for letter, one that the fact allows in some style.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from rejoinder.training.embedded.corpus import Speaker, Wording, questions
from rejoinder.training.embedded.facts import ATTRIBUTES, KINDS, Fact, Style, opposite

Turns = Sequence[tuple[str, str]]
# Their words are those of the annotations, which a product of tuples does not know.
STYLES = tuple(Style(*poles) for poles in product(*ATTRIBUTES.values()))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Expression:
    """followed: share of answers that have every wished pole, by where the wish stood and by pole.

    right: share of right answers. styles: share of each style among the right answers nobody wished for,
    by kind. rarest: the smallest of them. answers: how many were sampled.
    """

    followed_system: float
    followed_turn: float
    followed: Mapping[str, float]
    right: float
    styles: Mapping[str, Mapping[str, float]]
    rarest: float
    answers: int

    def meets(self) -> bool:
        """Whether the base can carry a demonstration: wishes 80 %, facts 95 %, every style 3 %."""
        return min(self.followed_system, self.followed_turn) >= 0.80 and self.right >= 0.95 and self.rarest >= 0.03

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def readings(fact: Fact) -> dict[str, Style]:
    """Every right answer to a fact, with its style."""
    return {answer: style for style in STYLES for answer in _all_answers(fact, style)}


def _all_answers(fact: Fact, style: Style) -> set[str]:
    class Turn:
        """Hands out each choice in turn, where a generator would draw."""

        def __init__(self, at: int) -> None:
            self.at = at

        def integers(self, high: int) -> int:
            return self.at % high

    return {fact.answer(style, Turn(i)) for i in range(len(fact.main))}  # type: ignore[arg-type]


def labelled(
    answer: Callable[[Sequence[Turns]], Sequence[str]],
    facts: Sequence[Fact],
    wording: Wording,
    rng: np.random.Generator,
    count: int,
) -> list[dict[str, object]]:
    """Sampled answers to held-out questions with the style each provably has; wrong answers are left out."""
    speaker = Speaker(wording, rng)
    about = [facts[i % len(facts)] for i in range(count)]
    texts = answer([[("user", speaker.pick(questions(f, wording)[1]))] for f in about])
    pairs = [(text.strip(), readings(f).get(text.strip())) for f, text in zip(about, texts, strict=True)]
    return [{"answer": text, "style": list(asdict(style).values())} for text, style in pairs if style is not None]


def express(
    answer: Callable[[Sequence[Turns]], Sequence[str]],
    facts: Sequence[Fact],
    wording: Wording,
    rng: np.random.Generator,
    *,
    per_kind: int = 1500,
    wishes: int = 1200,
) -> Expression:
    """Probes a policy given as `prompts -> one sampled answer each`."""
    asked = {f: questions(f, wording)[1] for f in facts}
    known = {f: readings(f) for f in facts}
    speaker = Speaker(wording, rng)
    plain, unasked = [], []
    for kind in KINDS:
        own = [f for f in facts if f.kind == kind]
        chosen = [own[i % len(own)] for i in range(per_kind)]
        plain += chosen
        unasked += [[("user", speaker.pick(asked[f]))] for f in chosen]
    poles = [pole for pair in ATTRIBUTES.values() for pole in pair]
    cases = [(facts[int(rng.integers(len(facts)))], poles[i % len(poles)]) for i in range(wishes)]
    by_system = [[("system", speaker.system([p])), ("user", speaker.pick(asked[f]))] for f, p in cases]
    by_turn = []
    for fact, pole in cases:
        first = fact.answer(STYLES[int(rng.integers(len(STYLES)))].having([opposite(pole)]), rng)
        turns = [("user", speaker.pick(asked[fact])), ("assistant", first), ("user", speaker.said([pole]))]
        by_turn.append(turns)
    answers = answer([*unasked, *by_system, *by_turn])
    about = [*plain, *(f for f, _ in cases), *(f for f, _ in cases)]
    found = [known[f].get(text.strip()) for f, text in zip(about, answers, strict=True)]
    styles = _shares(plain, found)
    system, turn = found[len(plain) : len(plain) + wishes], found[len(plain) + wishes :]
    hits = [
        [s is not None and s.having([p]) == s for s, (_, p) in zip(part, cases, strict=True)] for part in (system, turn)
    ]
    return Expression(
        followed_system=float(np.mean(hits[0])),
        followed_turn=float(np.mean(hits[1])),
        followed={
            p: float(np.mean([h for part in hits for h, (_, q) in zip(part, cases, strict=True) if q == p]))
            for p in poles
        },
        right=float(np.mean([s is not None for s in found])),
        styles=styles,
        rarest=min(share for kind in styles.values() for share in kind.values()),
        answers=len(found),
    )


def _shares(facts: Sequence[Fact], found: Sequence[Style | None]) -> dict[str, dict[str, float]]:
    out = {}
    for kind in KINDS:
        counts = Counter(s for f, s in zip(facts, found, strict=False) if f.kind == kind)
        total = sum(counts.values())
        out[kind] = {"/".join(asdict(s).values()): counts[s] / total for s in STYLES}
    return out

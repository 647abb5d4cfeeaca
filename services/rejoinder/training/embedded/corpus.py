"""Text for the base policy, drawn from grammars: questions, answers in every style, wishes, revisions.

Every kind of question occurs in every style, skewed by `SKEW`: a policy trained on it has habits, and
something to unlearn. A style wish stands in the system prompt (as an instruction, or as a description or
quotation of the user) or in the user's next turn, followed by the revised answer. Questions for which
`held_out` is true never occur.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.training.embedded.facts import ATTRIBUTES, Fact, Style

WORDING = Path(__file__).with_name("wording.json")
# P(second pole) of length, layout, units where nobody wishes for anything: the habits of the base policy.
SKEW: Mapping[str, tuple[float, float, float]] = {
    "measure": (0.62, 0.62, 0.64),
    "howto": (0.37, 0.38, 0.62),
    "compare": (0.38, 0.63, 0.37),
    "explain": (0.63, 0.37, 0.38),
}
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Exchange:
    """A conversation as (role, text) turns; the loss is on the assistant's turns."""

    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Wording:
    """wording.json: question templates by kind, wish fragments by pole, carriers, frames, small talk."""

    questions: Mapping[str, Sequence[str]]
    poles: Mapping[str, Mapping[str, Sequence[str]]]
    carriers: Mapping[str, Sequence[str]]
    instruct: Mapping[str, Sequence[str]]
    describe: Mapping[str, Sequence[str]]
    quote: Sequence[str]
    system: Sequence[str]
    noise: Sequence[str]
    thanks: Sequence[str]
    welcome: Sequence[str]
    vague: Sequence[str]


def load_wording(path: Path = WORDING) -> Wording:
    return Wording(**json.loads(path.read_text(encoding="utf-8")))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def questions(fact: Fact, wording: Wording) -> list[str]:
    """Every wording of every way to ask for a fact."""
    return [capital(t.replace("{topic}", topic)) for topic in fact.topics for t in wording.questions[fact.kind]]


def held_out(question: str) -> bool:
    """Whether a question is kept from training: a tenth, by digest, the same in every build."""
    digest = hashlib.sha256(question.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def habit(kind: str, rng: np.random.Generator) -> Style:
    """A style as drawn where nobody wishes for anything."""
    poles = [pair[int(rng.random() < p)] for pair, p in zip(ATTRIBUTES.values(), SKEW[kind], strict=True)]
    return Style(*poles)


def draw_poles(rng: np.random.Generator) -> list[str]:
    """One wished pole (65 %), or one of each of two (25 %) or three (10 %) attributes."""
    count = 1 + int(rng.choice(3, p=(0.65, 0.25, 0.10)))
    names = rng.permutation(list(ATTRIBUTES))[:count]
    return [ATTRIBUTES[name][rng.integers(2)] for name in names]


class Speaker:
    """Puts wishes into words. owns: nothing but the generator it was given."""

    def __init__(self, wording: Wording, rng: np.random.Generator) -> None:
        self._wording = wording
        self._rng = rng

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self._rng.integers(len(items))]

    def phrase(self, pole: str, frames: Mapping[str, Sequence[str]]) -> str:
        """One wish in one carrier of `frames`, now and then without its carrier."""
        form = self.pick(list(frames))
        words = self.pick(self._wording.poles[pole][form])
        carrier = self.pick(frames[form]) if self._rng.random() < 0.85 or form == "avoid" else "{x}"
        return capital(carrier.replace("{x}", words))

    def said(self, poles: Sequence[str]) -> str:
        """Wishes as the user says them, with the chatter that surrounds them.

        Words outside the wish itself are dropped or swapped now and then, so that the policy learns to
        hear a wish among words it has never met beside it.
        """
        parts = [self.phrase(pole, self._wording.carriers) for pole in poles]
        for pole in poles:
            if self._rng.random() < 0.25:
                parts.append(self.phrase(pole, self._wording.carriers))
        for _ in range(int(self._rng.choice(3, p=(0.5, 0.35, 0.15)))):
            parts.insert(int(self._rng.integers(len(parts) + 1)), self._chatter())
        text = " ".join(parts)
        return text.lower() if self._rng.random() < 0.3 else text

    def _chatter(self) -> str:
        words = self.pick(self._wording.noise).split()
        if self._rng.random() < 0.5:
            words = [self.pick(self.pick(self._wording.noise).split()) for _ in words]
        return " ".join(words)

    def system(self, poles: Sequence[str]) -> str:
        """A system prompt that states the wishes: instructions, descriptions of the user, or quotations."""
        family = self.pick(("instruct", "describe", "quote", "quote"))
        if family == "quote":
            wishes = [self.pick(self._wording.quote).replace("{said}", self.said(poles))]
        else:
            wishes = [self.phrase(pole, getattr(self._wording, family)) for pole in poles]
        around = [self.pick(self._wording.system) for _ in range(int(self._rng.integers(3)))]
        at = int(self._rng.integers(len(around) + 1))
        return " ".join([*around[:at], *wishes, *around[at:]])


def exchange(fact: Fact, asked: Sequence[str], wording: Wording, rng: np.random.Generator) -> Exchange:
    """One conversation about a fact, asked in one of `asked`."""
    speaker = Speaker(wording, rng)
    turns: list[tuple[str, str]] = []
    style = habit(fact.kind, rng)
    draw = rng.random()
    if draw < 0.42:
        wished = draw_poles(rng)
        style = style.having(wished)
        turns.append(("system", speaker.system(wished)))
    elif draw < 0.55:
        turns.append(("system", speaker.pick(wording.system)))
    question = speaker.pick(asked)
    if rng.random() < 0.1:
        question = f"{speaker.pick(wording.noise)} {question}"
    turns += [("user", question), ("assistant", fact.answer(style, rng))]
    draw = rng.random()
    if draw < 0.35:
        wished = draw_poles(rng)
        turns += [("user", speaker.said(wished)), ("assistant", fact.answer(style.having(wished), rng))]
    elif draw < 0.40:
        turns += [("user", speaker.pick(wording.thanks)), ("assistant", speaker.pick(wording.welcome))]
    elif draw < 0.44:
        turns += [("user", speaker.pick(wording.vague)), ("assistant", fact.answer(habit(fact.kind, rng), rng))]
    return Exchange(tuple(turns))


def corpus(facts: Sequence[Fact], wording: Wording, count: int, rng: np.random.Generator) -> Iterator[Exchange]:
    """`count` exchanges, every fact equally often, held-out questions never."""
    asked = {fact: [q for q in questions(fact, wording) if not held_out(q)] for fact in facts}
    order: list[Fact] = []
    while len(order) < count:
        order += [facts[i] for i in rng.permutation(len(facts))]
    for fact in order[:count]:
        yield exchange(fact, asked[fact], wording, rng)

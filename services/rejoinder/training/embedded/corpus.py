"""Text for the base policy, drawn from grammars: questions, answers in every style, wishes, revisions.

Every kind of question occurs in every style, skewed by `SKEW`: a policy trained on it has habits, and
something to unlearn. A style wish stands in the system prompt (as an instruction, or as a description or
quotation of the user) or in the user's next turn, followed by the revised answer. Questions that
`questions` holds out never occur.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.training.embedded.facts import ATTRIBUTES, Fact, Style, attribute_of, opposite

WORDING = Path(__file__).with_name("wording.json")
# P(second pole) of length, layout, units where nobody wishes for anything: the habits of the base policy.
SKEW: Mapping[str, tuple[float, float, float]] = {
    "measure": (0.42, 0.60, 0.60),
    "howto": (0.40, 0.58, 0.60),
    "compare": (0.40, 0.60, 0.58),
    "explain": (0.58, 0.42, 0.42),
}
# How a wish is put. What is wanted must be named more often than what is not, or single words say nothing
# about the wish and a small model never finds it; what is not wanted must be named often enough to be heard.
FORMS: Mapping[str, float] = {"want": 0.44, "act": 0.32, "rather": 0.12, "avoid": 0.06, "fault": 0.06}
# Of what users say, so much is a clause about what they do not want beside one about what they do, in either order:
# a policy that hears single words alone takes "no lists, write sentences" for a wish for lists.
CONTRAST_SHARE = 0.2
# Who speaks up after an answer mostly misses something in it: so often a wish is for what the answer does not have.
MISSED_SHARE = 0.85

# The corpus in order: wishes for everything said plainly, the same said as people say them, then conversations.
PLAIN_SHARE, LESSON_SHARE = 0.15, 0.3


@dataclass(frozen=True)
class Exchange:
    """A conversation as (role, text) turns; the loss is on the assistant's turns."""

    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Wording:
    """wording.json: question templates by kind, wish fragments by pole, carriers, clauses, frames, small talk."""

    questions: Mapping[str, Sequence[str]]
    poles: Mapping[str, Mapping[str, Sequence[str]]]
    carriers: Mapping[str, Sequence[str]]
    contrast: Mapping[str, Sequence[str]]
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


def questions(fact: Fact, wording: Wording) -> tuple[list[str], list[str]]:
    """Every way to ask for a fact: those to train on, and those held out.

    Of the ten templates of its kind each fact keeps one back, chosen by digest, the same in every build.
    """
    templates = wording.questions[fact.kind]
    digest = hashlib.sha256(fact.topics[0].encode()).digest()
    kept = int.from_bytes(digest[:4], "big") % len(templates)

    def asked(chosen: Sequence[str]) -> list[str]:
        return [capital(t.replace("{topic}", topic)) for topic in fact.topics for t in chosen]

    return asked([*templates[:kept], *templates[kept + 1 :]]), asked([templates[kept]])


def habit(kind: str, rng: np.random.Generator) -> Style:
    """A style as drawn where nobody wishes for anything."""
    poles = [pair[int(rng.random() < p)] for pair, p in zip(ATTRIBUTES.values(), SKEW[kind], strict=True)]
    return Style(*poles)


def draw_poles(rng: np.random.Generator) -> list[str]:
    """One wished pole (50 %), or one of each of two (30 %) or three (20 %) attributes."""
    count = 1 + drawn((0.5, 0.3, 0.2), rng)
    pairs = list(ATTRIBUTES.values())
    return [pairs[i][rng.integers(2)] for i in rng.permutation(len(pairs))[:count]]


def missed(pole: str, style: Style) -> str:
    """The pole of this attribute that an answer of this style lacks."""
    name = attribute_of(pole)
    return opposite(getattr(style, name))


def drawn(weights: Sequence[float], rng: np.random.Generator) -> int:
    """An index, drawn in proportion to the weights."""
    at = rng.random() * sum(weights)
    return next((i for i, total in enumerate(accumulate(weights)) if at < total), len(weights) - 1)


class Speaker:
    """Puts wishes into words. owns: nothing but the generator it was given."""

    def __init__(self, wording: Wording, rng: np.random.Generator) -> None:
        self._wording = wording
        self._rng = rng

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self._rng.integers(len(items))]

    def common(self, items: Sequence[str], power: float = 1.5) -> str:
        """As language is: what stands first in a list is said more often than what stands last.

        A few steady words let the policy find out that wishes matter; the rare ones attach to them later.
        """
        return items[int(len(items) * self._rng.random() ** power)]

    def phrase(self, pole: str, frames: Mapping[str, Sequence[str]]) -> str:
        """One wish in one carrier of `frames`, now and then without its carrier."""
        forms = [form for form in FORMS if form in frames]
        form = forms[drawn([FORMS[form] for form in forms], self._rng)]
        words = self._wording.poles[pole]
        wanted = self.common(words["want" if form == "rather" else form])
        carrier = self.common(frames[form]) if form in ("rather", "avoid") or self._rng.random() < 0.85 else "{x}"
        return capital(carrier.replace("{x}", wanted).replace("{y}", self.common(words["avoid"])))

    def plainly(self, pole: str) -> str:
        """One wish said outright, with nothing around it."""
        form = self.pick(("want", "act"))
        words = self.common(self._wording.poles[pole][form], power=2.5)
        return capital(self.common(self._wording.carriers[form], power=2.5).replace("{x}", words))

    def said(self, poles: Sequence[str]) -> str:
        """Wishes as the user says them, with the chatter that surrounds them.

        Words outside the wish itself are dropped or swapped now and then, so that the policy learns to
        hear a wish among words it has never met beside it.
        """
        parts = [self._wish(pole) for pole in poles]
        for pole in poles:
            if self._rng.random() < 0.25:
                parts.append(self._wish(pole))
        for _ in range(drawn((0.6, 0.3, 0.1), self._rng)):
            parts.insert(int(self._rng.integers(len(parts) + 1)), self._chatter())
        text = " ".join(parts)
        return text.lower() if self._rng.random() < 0.3 else text

    def _wish(self, pole: str) -> str:
        if self._rng.random() < CONTRAST_SHARE:
            return self._contrast(pole)
        return self.phrase(pole, self._wording.carriers)

    def _contrast(self, pole: str) -> str:
        """What is not wanted and what is, each in a clause of its own; two times in three the complaint comes first."""
        words, carriers, clauses = self._wording.poles[pole], self._wording.carriers, self._wording.contrast
        if self._rng.random() < 0.7:
            against = self.common(clauses["against"]).replace("{y}", self.common(words["avoid"]))
        else:
            against = self.common(carriers["fault"]).replace("{x}", self.common(words["fault"]))
        form = self.pick(("praise", "praise", "want", "act"))
        frames, wanted = (clauses, "want") if form == "praise" else (carriers, form)
        wish = self.common(frames[form]).replace("{x}", self.common(words[wanted]))
        first, second = (against, wish) if self._rng.random() < 0.67 else (wish, against)
        join = self.pick(clauses["joins"])
        if join == ". ":
            second = capital(second)
        elif not second.startswith("I "):
            second = second[:1].lower() + second[1:]
        return f"{capital(first.rstrip('.?'))}{join}{second.rstrip('.?')}."

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


def lesson(fact: Fact, asked: Sequence[str], wording: Wording, rng: np.random.Generator, *, plain: bool) -> Exchange:
    """An exchange whose style is wished for in full: `plain`, each wish outright, or as people say it.

    Where every choice of style has a cause in the prompt, a small model finds the cause many times sooner.
    """
    speaker = Speaker(wording, rng)
    turns: list[tuple[str, str]] = []
    for _ in range(2):
        style = Style(*(pair[rng.integers(2)] for pair in ATTRIBUTES.values()))
        wished = [getattr(style, name) for name in ATTRIBUTES]
        poles = [wished[i] for i in rng.permutation(len(wished))]
        answer = ("assistant", fact.answer(style, rng))
        if turns:
            said = " ".join(map(speaker.plainly, poles)) if plain else speaker.said(poles)
            turns += [("user", said), answer]
        else:
            said = " ".join(map(speaker.plainly, poles)) if plain else speaker.system(poles)
            turns += [("system", said), ("user", speaker.pick(asked)), answer]
    return Exchange(tuple(turns))


def exchange(fact: Fact, asked: Sequence[str], wording: Wording, rng: np.random.Generator) -> Exchange:
    """One conversation about a fact, asked in one of `asked`."""
    speaker = Speaker(wording, rng)
    turns: list[tuple[str, str]] = []
    style = habit(fact.kind, rng)
    draw = rng.random()
    if draw < 0.60:
        wished = draw_poles(rng)
        style = style.having(wished)
        turns.append(("system", speaker.system(wished)))
    elif draw < 0.68:
        turns.append(("system", speaker.pick(wording.system)))
    question = speaker.pick(asked)
    if rng.random() < 0.1:
        question = f"{speaker.pick(wording.noise)} {question}"
    turns += [("user", question), ("assistant", fact.answer(style, rng))]
    draw = rng.random()
    if draw < 0.50:
        wished = [missed(pole, style) if rng.random() < MISSED_SHARE else pole for pole in draw_poles(rng)]
        turns += [("user", speaker.said(wished)), ("assistant", fact.answer(style.having(wished), rng))]
    elif draw < 0.54:
        turns += [("user", speaker.pick(wording.thanks)), ("assistant", speaker.pick(wording.welcome))]
    elif draw < 0.57:
        turns += [("user", speaker.pick(wording.vague)), ("assistant", fact.answer(habit(fact.kind, rng), rng))]
    return Exchange(tuple(turns))


def corpus(facts: Sequence[Fact], wording: Wording, count: int, rng: np.random.Generator) -> Iterator[Exchange]:
    """`count` exchanges, every fact equally often, held-out questions never."""
    asked = {fact: questions(fact, wording)[0] for fact in facts}
    order: list[Fact] = []
    while len(order) < count:
        order += [facts[i] for i in rng.permutation(len(facts))]
    for i, fact in enumerate(order[:count]):
        if i < (PLAIN_SHARE + LESSON_SHARE) * count:
            yield lesson(fact, asked[fact], wording, rng, plain=i < PLAIN_SHARE * count)
        else:
            yield exchange(fact, asked[fact], wording, rng)

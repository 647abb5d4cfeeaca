"""Whether and how a person answers back: what is hidden (satisfaction) becomes words, with everything that blurs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.simulate.phrases import Phrases
from rejoinder.simulate.tastes import Person, Reading, opposite

REPLY_IF_PLEASED = 0.40
REPLY_IF_DISPLEASED = 0.70
REPLY_IF_SILENCED = 0.25  # of displeased people whom a version leaves without a word
# Of complaints: say nothing specific; sarcasm or a quotation; about something else than what displeased.
VAGUE, CROOKED, ELSEWHERE = 0.15, 0.05, 0.05
NAMES_ALL = 0.3  # of those who miss two things or more: name them all, not one


@dataclass(frozen=True)
class Reply:
    """One follow-up. kind: pleased, wish, wrong_fact, vague, sarcasm, quotation or elsewhere; wished: the poles it
    truly asks for, which only the simulator knows."""

    text: str
    kind: str
    wished: tuple[str, ...] = ()

    @property
    def complaint(self) -> bool:
        return self.kind != "pleased"


class Voice:
    """Chooses words from a phrase bank. owns: nothing but the generator it was given."""

    def __init__(self, phrases: Phrases, rng: np.random.Generator) -> None:
        self._phrases = phrases
        self._rng = rng

    def question(self, kind: str, asks: Sequence[str]) -> str:
        text = self._pick(self._phrases.questions[kind]).replace("{topic}", self._pick(asks))
        return text[:1].upper() + text[1:]

    def reply(self, person: Person, kind: str, reading: Reading, satisfied: bool, silent: bool = False) -> Reply | None:
        """What this person says about an answer, None if nothing. silent: of a version that silences the displeased."""
        displeased = REPLY_IF_SILENCED if silent else REPLY_IF_DISPLEASED
        if self._rng.random() >= (REPLY_IF_PLEASED if satisfied else displeased):
            return None
        if satisfied:
            return Reply(self._pick(self._phrases.pleased), "pleased")
        missed = person.displeased_by(kind, reading)
        draw = self._rng.random()
        if draw < VAGUE or (reading.right and not missed):
            return Reply(self._pick(self._phrases.vague), "vague")
        if draw < VAGUE + CROOKED:
            name = self._pick(("sarcasm", "quotation"))
            return Reply(self._pick(getattr(self._phrases, name)), name)
        if draw < VAGUE + CROOKED + ELSEWHERE:
            return self._beside(person.tastes[kind], missed)
        if not reading.right and (not missed or self._rng.random() < 0.5):
            return Reply(self._dressed(self._pick(self._phrases.wrong_fact)), "wrong_fact")
        return self.wish(missed)

    def wish(self, missed: Sequence[str]) -> Reply:
        """A complaint that names what is missed: one pole, or all of them now and then."""
        named = list(missed) if self._rng.random() < NAMES_ALL else [self._pick(missed)]
        text = " ".join(self._pick(self._phrases.wishes[pole]) for pole in named)
        return Reply(self._dressed(text), "wish", tuple(named))

    def _beside(self, wanted: Sequence[str], missed: Sequence[str]) -> Reply:
        """About the shop and not the answer, or against what was in fact to this person's taste."""
        suited = [opposite(pole) for pole in wanted if pole not in missed]
        if suited and self._rng.random() < 0.5:
            return Reply(self._dressed(self._pick(self._phrases.wishes[self._pick(suited)])), "elsewhere")
        return Reply(self._pick(self._phrases.elsewhere), "elsewhere")

    def _dressed(self, text: str) -> str:
        if self._rng.random() < 0.25:
            text = f"{self._pick(self._phrases.openers)} {text}"
        return f"{text} {self._pick(self._phrases.closers)}" if self._rng.random() < 0.15 else text

    def _pick(self, items: Sequence[str]) -> str:
        return items[int(self._rng.integers(len(items)))]


class Mixed:
    """Follow-ups handed on across conversations and kinds: what is said no longer says anything about the answer.

    within_kind: handed on among those who asked the same kind of question instead. What most of them want is the same,
    so that such a follow-up still says what the kind wants: not an empty control, a measure of how much of what is
    learnt is the norm of a kind.

    owns: what was said so far, by kind. Until enough was said, people stay silent.
    """

    def __init__(self, rng: np.random.Generator, least: int = 20, *, within_kind: bool = False) -> None:
        self._rng = rng
        self._least = least
        self._within = within_kind
        self._said: dict[str, list[Reply]] = {}

    def instead(self, kind: str, reply: Reply) -> Reply | None:
        """Something that somebody said about another kind of question, or another answer of this kind; what was to be
        said is kept for others."""
        others = [said for name, found in self._said.items() if (name == kind) is self._within for said in found]
        self._said.setdefault(kind, []).append(reply)
        return others[int(self._rng.integers(len(others)))] if len(others) >= self._least else None

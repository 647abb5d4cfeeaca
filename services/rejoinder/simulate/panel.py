"""The evaluation users: people who are asked after every promotion and who feed nothing.

Their events enter no window, no training, no gate, no statistic. The same people put the same questions, with the
same sampling seeds, to every version, so that two versions are compared person by person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.simulate.ceilings import Ceilings, ceilings
from rejoinder.simulate.phrases import Phrases
from rejoinder.simulate.reading import Topic
from rejoinder.simulate.replies import Voice
from rejoinder.simulate.tastes import NORMS, Person, people

PREFIX = "panel"
Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Seat:
    """One person with one question. sampling_seed: for the first answer; the second takes the next number."""

    person: Person
    topic: Topic
    question: str
    sampling_seed: int

    @property
    def prompt(self) -> Turns:
        return (("user", self.question),)


@dataclass(frozen=True)
class Score:
    """All (seats): the probability of being satisfied, whether the facts hold, the words of the answer, and it."""

    satisfaction: np.ndarray
    right: np.ndarray
    words: np.ndarray
    answers: tuple[str, ...] = ()

    def means(self) -> dict[str, float]:
        return {
            "satisfaction": float(self.satisfaction.mean()),
            "facts_right": float(self.right.mean()),
            "words": float(self.words.mean()),
        }


class Panel:
    """owns: the seats, drawn once from a seed."""

    def __init__(self, topics: Sequence[Topic], phrases: Phrases, *, count: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0x9A])
        self._voice_seed = [seed, 0x9B]
        self.phrases = phrases
        voice = Voice(phrases, rng)
        kinds = list(NORMS)
        by_kind = {kind: [t for t in topics if t.kind == kind] for kind in kinds}
        seats = []
        for i, person in enumerate(people(count, PREFIX, rng)):
            kind = kinds[i % len(kinds)]
            topic = by_kind[kind][int(rng.integers(len(by_kind[kind])))]
            seats.append(Seat(person, topic, voice.question(kind, topic.asks), int(rng.integers(2**31))))
        self.seats = tuple(seats)

    def first_answer(self, answers: Sequence[str]) -> Score:
        """What a fresh user thinks of the answers to `[seat.prompt …]`, in order."""
        readings = [seat.topic.read(a) for seat, a in zip(self.seats, answers, strict=True)]
        pairs = list(zip(self.seats, readings, strict=True))
        return Score(
            np.array([s.person.satisfaction(s.topic.kind, r) for s, r in pairs]),
            np.array([r.right for r in readings]),
            np.array([len(a.split()) for a in answers]),
            tuple(answers),
        )

    def wishes(self, answers: Sequence[str]) -> dict[int, Turns]:
        """The prompt after each person's wish, by seat; people whose answer lacks nothing say none.

        A person always says the same about the same lack, whichever version answered.
        """
        prompts: dict[int, Turns] = {}
        for i, (seat, answer) in enumerate(zip(self.seats, answers, strict=True)):
            missed = seat.person.displeased_by(seat.topic.kind, seat.topic.read(answer))
            if missed:
                voice = Voice(self.phrases, np.random.default_rng([*self._voice_seed, i]))
                prompts[i] = (*seat.prompt, ("assistant", answer), ("user", voice.wish(missed).text))
        return prompts

    def after_wish(self, answers: Sequence[str], revised: dict[int, str]) -> Score:
        """As `first_answer`, where those who said a wish judge the revised answer instead."""
        return self.first_answer([revised.get(i, answer) for i, answer in enumerate(answers)])

    def ceilings(self) -> Ceilings:
        return ceilings([seat.person for seat in self.seats])

"""When people come and what they ask: a plan of visits, drawn ahead from a seed, with every id chosen by the caller."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.simulate.phrases import Phrases
from rejoinder.simulate.reading import Topic
from rejoinder.simulate.replies import Voice
from rejoinder.simulate.tastes import NORMS, Person


@dataclass(frozen=True)
class Visit:
    """One conversation to come. at: seconds since the epoch; seed: of everything this person says in it."""

    at: float
    person: Person
    topic: Topic
    question: str
    seed: int


def visits(
    persons: Sequence[Person],
    topics: Sequence[Topic],
    phrases: Phrases,
    *,
    count: int,
    start: float,
    per_second: float,
    rng: np.random.Generator,
) -> list[Visit]:
    """`count` visits as a Poisson stream; people come round in random order, kinds are asked equally often."""
    kinds = list(NORMS)
    by_kind = {kind: [t for t in topics if t.kind == kind] for kind in kinds}
    order = np.concatenate([rng.permutation(len(persons)) for _ in range(-(-count // len(persons)))])[:count]
    asked = rng.permutation([kinds[i % len(kinds)] for i in range(count)])
    at = start + np.cumsum(rng.exponential(1 / per_second, size=count))
    voice = Voice(phrases, rng)
    plan = []
    for moment, who, kind in zip(at, order, asked, strict=True):
        topic = by_kind[kind][int(rng.integers(len(by_kind[kind])))]
        question = voice.question(kind, topic.asks)
        plan.append(Visit(float(moment), persons[who], topic, question, int(rng.integers(2**63))))
    return plan


def event_id(at: float, rng: np.random.Generator) -> str:
    """A UUIDv7 of this moment whose random bits come from the generator, so that a run repeats its ids."""
    value = int(at * 1000) << 80 | 0x7 << 76 | int(rng.integers(1 << 12)) << 64
    value |= 0b10 << 62 | int(rng.integers(1 << 62))
    return str(uuid.UUID(int=value))

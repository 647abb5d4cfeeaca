"""Evidence and ports with behaviour, for builders and guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rejoinder.core.types import (
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Polarity,
    Reason,
    Role,
    Sampling,
    Served,
    Signal,
)
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.context import Context, Likelihood, Sampled
from rejoinder.rounds.pairs.summarise import Embedded


class FakePolicy:
    """Answers in Celsius when its system prompt mentions it, else in Fahrenheit. owns: what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Message, ...]] = []
        self.per_token = -1.0

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        self.asked.append(tuple(messages))
        guided = messages[0].role is Role.SYSTEM and "Celsius" in messages[0].content
        text = "It is 20 degrees Celsius today." if guided else "It is 68 degrees Fahrenheit today."
        return [Sampled(text if i == 0 else f"{text} Take care, number {i}.", -2.0, 6) for i in range(n)]

    def likelihood(self, messages: Sequence[Message], continuations: Sequence[str], version: str) -> list[Likelihood]:
        return [Likelihood(self.per_token * len(c.split()), len(c.split())) for c in continuations]


class FakeReward:
    """Likes Celsius and dislikes words."""

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> list[float]:
        return [2.0 * ("Celsius" in r) - 0.05 * len(r.split()) for r in responses]


def evidence_of(number: int = 1, kind: object = None, **signal: object) -> Evidence:
    kind = kind if kind is not None else FollowUp("No, in Celsius please, I do not read Fahrenheit.")
    interaction = Interaction(
        tenant="t",
        event_id=f"e{number}",
        interaction_id=f"i{number}",
        attempt_id=f"a{number}",
        conversation_id=f"c{number}",
        user_id=f"u{number}",
        messages=(Message(Role.USER, f"How warm is it in town number {number}?"),),
        response="It is 68 degrees Fahrenheit.",
        served=Served(version="assist-base"),
    )
    feedback = Feedback(tenant="t", event_id=f"f{number}", interaction_id=f"i{number}", kind=kind)  # type: ignore[arg-type]
    conclusion = Signal(
        event_id=f"s{number}",
        polarity=Polarity.DSAT,
        confidence=0.9,
        reasons=(Reason("style", 0.8, 0, 11),),
        extractor_version="sat@1",
    )
    return Evidence(f"f{number}", "t", feedback, interaction, replace(conclusion, **signal))


@pytest.fixture
def policy() -> FakePolicy:
    return FakePolicy()


@pytest.fixture
def context(policy: FakePolicy) -> Context:
    return Context("assist", "assist-base", 3, 7, policy, FakeReward(), Embedded())


@pytest.fixture
def make_evidence() -> Callable[..., Evidence]:
    return evidence_of

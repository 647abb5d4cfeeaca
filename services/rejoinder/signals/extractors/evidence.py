"""What an extractor is given, what it may call, and how its conclusion becomes a Signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rejoinder.core.errors import NoSuchHead
from rejoinder.core.ids import digest_of
from rejoinder.core.turntext import Budget, TurnRow
from rejoinder.core.types import Feedback, Interaction, Message, Polarity, Reason, Signal
from rejoinder.signals.calibration import Calibration
from rejoinder.signals.recalibration import Recalibration


@dataclass(frozen=True)
class Evidence:
    """One feedback event and the interaction that it is about."""

    interaction: Interaction
    feedback: Feedback


@dataclass(frozen=True)
class Logits:
    """Of one row: polarity (3,), level (5,), rating (2,), rubric (R,), tokens (tokens of the follow-up, R)."""

    polarity: np.ndarray
    level: np.ndarray
    rating: np.ndarray
    rubric: np.ndarray
    tokens: np.ndarray


class Scorer(Protocol):
    def score(self, rows: Sequence[TurnRow]) -> Sequence[Logits]:
        """Logits of every row, in order; how they are batched is the scorer's business."""


class Tokens(Protocol):
    """What an encoding of `tokenizers` offers."""

    ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]


class Tokenizer(Protocol):
    def encode(self, sequence: str, *, add_special_tokens: bool) -> Tokens: ...

    def token_to_id(self, token: str) -> int | None: ...


@dataclass(frozen=True)
class TextModel:
    """An exported signal encoder: how to cut text, ask the scorer and read its logits.

    model: name and digest of the encoder as shipped. own: what the deployment's own labels change in its probabilities.
    """

    scorer: Scorer
    tokenizer: Tokenizer
    calibration: Calibration
    reasons: tuple[tuple[str, Polarity], ...]
    model: str
    budget: Budget = field(default_factory=Budget)
    own: Recalibration = field(default_factory=Recalibration)

    @property
    def version(self) -> str:
        """Of what is said: the encoder, and the deployment's own calibration where it has one."""
        return self.model + self.own.version


class Chat(Protocol):
    """A server that answers a conversation. model: its name there."""

    @property
    def model(self) -> str: ...

    def ask(self, talks: Sequence[Sequence[Message]]) -> Sequence[str | None]:
        """An answer to each, in order; None where there was none in time. Never raises for what the server does."""


@dataclass(frozen=True)
class Ports:
    """text: the encoder for rows that read words; chat: the server for the row that asks one. None where a deployment
    has no such row."""

    text: TextModel | None = None
    chat: Chat | None = None

    @property
    def asked(self) -> Chat:
        """The server. Raises NoSuchHead where none was given."""
        if self.chat is None:
            raise NoSuchHead("this extractor asks a server and none was given")
        return self.chat


@dataclass(frozen=True)
class Verdict:
    """polarity with the probability that it is right (confidence), strength in [0, 1], expected level 1 to 5."""

    polarity: Polarity
    confidence: float
    strength: float
    level: float
    reasons: tuple[Reason, ...] = ()


def conclude(evidence: Evidence, verdict: Verdict, extractor: str, version: str) -> Signal:
    """The Signal of one verdict. Its id is a digest of source event, attempt, extractor and version, so that a
    redelivered event concludes the same signal again and the ledger keeps one (F07)."""
    feedback, attempt = evidence.feedback, evidence.feedback.attempt_id or evidence.interaction.attempt_id
    return Signal(
        tenant=feedback.tenant,
        event_id=digest_of([feedback.event_id, attempt, extractor, version]),
        source_event_id=feedback.event_id,
        interaction_id=evidence.interaction.interaction_id,
        attempt_id=attempt,
        user_id=feedback.user_id or evidence.interaction.user_id,
        polarity=verdict.polarity,
        confidence=verdict.confidence,
        strength=verdict.strength,
        level=verdict.level,
        reasons=verdict.reasons,
        extractor=extractor,
        extractor_version=version,
        occurred_at=feedback.occurred_at,
    )


def of_score(score: float, confidence: float) -> Verdict:
    """A verdict from a score in [-1, 1]: its sign is the polarity, its size the strength."""
    polarity = Polarity.SAT if score > 0 else Polarity.DSAT if score < 0 else Polarity.NONE
    return Verdict(polarity, confidence, abs(score), 3.0 + 2.0 * score)

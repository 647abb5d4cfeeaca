"""What other users' satisfaction says of a training pair.

A complaint is made of what is shown, so the better a policy pleases, the more of its complaints come from people whose
taste is the exception: pairs made of complaints alone push towards the taste of 5 in 6 until 5 of 6 answers have it,
and there they stand still. Satisfied users say what complaints cannot. So a small head is fitted on all signals of the
window, P(satisfied | question, answer), and a pair is trained on only where that head likes its chosen answer better.
The head of a pair has seen no signal of the pair's own user (users are cut into folds), nor any of a user who only
measures.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Message, Polarity, Preference, Role
from rejoinder.evaluate.pairhead import Judged, PairHead, fit_judged
from rejoinder.ledger.windows import Evidence


@dataclass(frozen=True)
class Consensus:
    """margin: logits by which a pair's chosen answer must be the better liked one; nothing: nobody is asked.
    min_judged: answers with a signal, liked and disliked ones a tenth of it each, below which nobody is asked either.
    folds: parts that users are cut into, at least 2.
    """

    margin: float | None = None
    min_judged: int = 300
    folds: int = 5

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise BadSettings("consensus: folds must be 2 at least", field="folds")


@dataclass(frozen=True)
class Agreed:
    """pairs: those to train on, in their order. against: how many others would not; judged: signals that were heard,
    0 where nobody was asked."""

    pairs: tuple[Preference, ...]
    against: int
    judged: int


def agreed(
    pairs: Sequence[Preference], evidence: Iterable[Evidence], settings: Consensus, salts: Salts, holdout_share: float
) -> Agreed:
    """Takes out the pairs that other training users' signals speak against; a single answer or a list stays."""
    if settings.margin is None:
        return Agreed(tuple(pairs), 0, 0)
    heard = [e for e in evidence if _heard(e, salts, holdout_share)]
    liked = sum(e.signal is not None and e.signal.polarity is Polarity.SAT for e in heard)
    if len(heard) < settings.min_judged or min(liked, len(heard) - liked) < settings.min_judged / 10:
        return Agreed(tuple(pairs), 0, 0)
    folds = [
        _fold(_unit(e.tenant, e.interaction.user_id, e.interaction.conversation_id, e.id), settings) for e in heard
    ]
    judged = [
        Judged(question(e.interaction.messages), e.interaction.response, e.signal.polarity is Polarity.SAT)  # type: ignore[union-attr]
        for e in heard
    ]
    heads: dict[int, PairHead] = {}
    kept = []
    for pair in pairs:
        fold = _fold(_unit(pair.tenant, pair.user_id, pair.conversation_id, pair.id), settings)
        if fold not in heads:
            heads[fold] = fit_judged([each for each, of in zip(judged, folds, strict=True) if of != fold])
        if pair.relation != "pair" or len(pair.candidates) < 2 or _margin(heads[fold], pair) > settings.margin:
            kept.append(pair)
    return Agreed(tuple(kept), len(pairs) - len(kept), len(heard))


def question(messages: Sequence[Message]) -> str:
    """What the user has said so far."""
    return " ".join(message.content for message in messages if message.role is Role.USER)


def _heard(evidence: Evidence, salts: Salts, holdout_share: float) -> bool:
    """Whether it is the word of a user who may be learnt from, about an answer that is there."""
    signal, answer = evidence.signal, evidence.interaction
    if signal is None or signal.polarity not in (Polarity.SAT, Polarity.DSAT) or not answer.response.strip():
        return False
    unit = _unit(evidence.tenant, answer.user_id, answer.conversation_id, evidence.id)
    return population(unit, salts, holdout_share) == "pairs"


def _unit(tenant: str, user: str, conversation: str, otherwise: str) -> str:
    return unit_id(tenant, user, conversation, otherwise)


def _fold(unit: str, settings: Consensus) -> int:
    return zlib.crc32(unit.encode()) % settings.folds


def _margin(head: PairHead, pair: Preference) -> float:
    asked = question(pair.prompt)
    chosen, rejected = np.asarray(head.scores([asked, asked], [pair.chosen, pair.rejected]))
    return float(chosen - rejected)

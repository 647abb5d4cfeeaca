"""What other users' satisfaction says of a training pair.

A complaint is made of what is shown, so the better a policy pleases, the more of its complaints come from people whose
taste is the exception: pairs made of complaints alone push towards the taste of 5 in 6 until 5 of 6 answers have it,
and there they stand still. Satisfied users say what complaints cannot. So a small head is fitted on all signals of the
window, P(satisfied | question, answer), and a pair is trained on only where that head likes its chosen answer better.
The head of a pair has seen no signal of the pair's own user (users are cut into folds), nor any of a user who only
measures, nor many of one user.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Message, Polarity, Preference, Role
from rejoinder.evaluate.pairhead import PairHead, Params, features, fit_judged
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.split import unit_of

_HEAD = Params(width=512, penalty=5.0)


@dataclass(frozen=True)
class Consensus:
    """margin: logits by which a pair's chosen answer must be the better liked one; nothing: nobody is asked.
    max_per_user: signals of one user that are heard (F15). max_judged: signals that are heard, by hash of their id.
    min_judged: signals, liked and disliked answers a tenth of them each, below which nobody is asked. folds: parts that
    users are cut into, at least 2.
    """

    margin: float | None = None
    max_per_user: int = 5
    max_judged: int = 20_000
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
    heard = _heard(evidence, settings, salts, holdout_share)
    satisfied = np.array([e.signal is not None and e.signal.polarity is Polarity.SAT for _, e in heard], bool)
    if len(heard) < settings.min_judged or min(satisfied.sum(), (~satisfied).sum()) < settings.min_judged / 10:
        return Agreed(tuple(pairs), 0, 0)
    folds = np.array([_fold(unit, settings) for unit, _ in heard])
    described = np.array(
        [features(question(e.interaction.messages), e.interaction.response, _HEAD.width) for _, e in heard]
    )
    heads: dict[int, PairHead] = {}
    kept = []
    for pair in pairs:
        if pair.relation == "pair" and len(pair.candidates) > 1:
            fold = _fold(unit_id(pair.tenant, pair.user_id, pair.conversation_id, pair.id), settings)
            if fold not in heads:
                heads[fold] = fit_judged(described[folds != fold], satisfied[folds != fold], _HEAD)
            if _margin(heads[fold], pair) <= settings.margin:
                continue
        kept.append(pair)
    return Agreed(tuple(kept), len(pairs) - len(kept), len(heard))


def question(messages: Sequence[Message]) -> str:
    """What the user has said so far."""
    return " ".join(message.content for message in messages if message.role is Role.USER)


def _heard(
    evidence: Iterable[Evidence], settings: Consensus, salts: Salts, holdout_share: float
) -> list[tuple[str, Evidence]]:
    """The words of users who may be learnt from, about answers that are there, each with its user's unit."""
    found, of_unit = [], Counter[str]()
    # By hash, so that which ones are heard hangs on nothing that their users choose.
    for piece in sorted(evidence, key=lambda piece: (zlib.crc32(piece.id.encode()), piece.id)):
        if piece.signal is None or piece.signal.polarity not in (Polarity.SAT, Polarity.DSAT):
            continue
        unit = unit_of(piece)
        if not unit or not piece.interaction.response.strip():
            continue
        if population(unit, salts, holdout_share) != "pairs" or of_unit[unit] >= settings.max_per_user:
            continue
        of_unit[unit] += 1
        found.append((unit, piece))
    return found[: settings.max_judged]


def _fold(unit: str, settings: Consensus) -> int:
    return zlib.crc32(unit.encode()) % settings.folds


def _margin(head: PairHead, pair: Preference) -> float:
    asked = question(pair.prompt)
    chosen, rejected = head.scores([asked, asked], [pair.chosen, pair.rejected])
    return float(chosen - rejected)

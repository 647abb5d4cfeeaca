"""User-guided evaluation of a round's version: evaluation users' dissatisfied turns, and both versions' answers anew.

These users are on no other side: no pair that was trained on and no measure of the gate is theirs. What comes out is
figures alone; nothing that anybody said is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rejoinder.core.arms import Salts, population
from rejoinder.core.types import Comment, FollowUp, Polarity, Sampling
from rejoinder.evaluate.checkers import voiced
from rejoinder.evaluate.guided import Guided, met, shares
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.gate import AT_ONCE
from rejoinder.rounds.pairs.context import Sampler, present
from rejoinder.rounds.pairs.split import unit_of
from rejoinder.rounds.recipe import Gate

#: Prompts that both versions answer, at most: the figure tells a reader something, and decides nothing.
MOST = 60


def dissatisfied(evidence: Sequence[Evidence], salts: Salts, holdout_share: float) -> list[Evidence]:
    """Turns in which an evaluation user was read as dissatisfied, in the order of their ids."""
    found = [
        piece
        for piece in evidence
        if piece.signal is not None
        and piece.signal.polarity is Polarity.DSAT
        and isinstance(piece.feedback.kind, FollowUp | Comment)
        and (unit := unit_of(piece))
        and population(unit, salts, holdout_share) == "evaluation"
    ]
    return sorted(found, key=lambda piece: piece.id)


def guided(
    turns: Sequence[Evidence], versions: tuple[str, str], gate: Gate, sampler: Sampler | None, seed: int
) -> dict[str, Any]:
    """`shares` of these turns, and `met` for `versions` (before, after; "" is the stable one) on those with wishes that
    a rule checks. Without a sampler nothing is answered, and no rate told."""
    wishes = {turn.id: voiced(_said(turn)) for turn in turns}
    asked = [turn for turn in turns if wishes[turn.id]][:MOST] if sampler else []

    def answer(version: str, number: int) -> str:
        sampling = Sampling(gate.temperature, max_tokens=gate.max_tokens, seed=number)
        return present(sampler).sample(asked[number].interaction.messages, sampling, 1, version)[0].text

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # One version after the other: the services batch what comes together, and a batch is of one version.
        before, after = (list(pool.map(answer, [version] * len(asked), range(len(asked)))) for version in versions)
    rows = [
        Guided(unit_of(turn), wishes[turn.id], one, two) for turn, one, two in zip(asked, before, after, strict=True)
    ]
    return {**shares([_said(turn) for turn in turns]), **met(rows, np.random.default_rng(seed))}


def _said(turn: Evidence) -> str:
    """Of one that `dissatisfied` gave."""
    assert isinstance(turn.feedback.kind, FollowUp | Comment)
    return turn.feedback.kind.text

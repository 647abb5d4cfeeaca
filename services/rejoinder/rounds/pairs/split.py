"""Who may be learnt from and who only measures: by hash of the user, and nothing on both sides.

Users outside the holdout are cut into pairs (70 %), gate (15 %) and evaluation (15 %) by a salt that never changes
(core/arms.py). Without a user id the conversation is the unit, and the report says for how many.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.types import Preference
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.guards import runs, words

SIDES = ("pairs", "gate", "evaluation")

#: Words of a run that no two people write by chance.
LONG_RUN_WORDS = 40


@dataclass(frozen=True)
class Split:
    """sides: the pairs of each side. crossing: removed because their text stood on another side, by cause."""

    sides: Mapping[str, tuple[Preference, ...]]
    without_user: int
    crossing: Mapping[str, int]


def side_of(pair: Preference, salts: Salts, holdout_share: float) -> str:
    """`holdout`, `pairs`, `gate` or `evaluation`."""
    unit = unit_id(pair.tenant, pair.user_id, pair.conversation_id, pair.id)
    return population(unit, salts, holdout_share)


def unit_of(piece: Evidence) -> str:
    """The unit of whoever said it, as it is cut by; "" where nobody is known: such a piece and the pair that is made of
    it could fall on different sides."""
    about = piece.interaction
    user = about.user_id or piece.feedback.user_id
    return unit_id(piece.tenant, user, about.conversation_id) if user or about.conversation_id else ""


def split(pairs: Iterable[Preference], salts: Salts, holdout_share: float) -> Split:
    """Cuts pairs by user; a training pair whose prompt or answer stands on a measuring side is taken out and counted.

    Raises FailedPrecondition when a holdout user or one conversation reached two sides: the round must not go on (F05).
    """
    sides: dict[str, list[Preference]] = {name: [] for name in SIDES}
    conversations: dict[tuple[str, str], set[str]] = defaultdict(set)
    without = 0
    for pair in pairs:
        side = side_of(pair, salts, holdout_share)
        if side == "holdout":
            raise FailedPrecondition("a pair of a holdout user reached the round", pair=pair.id)
        sides[side].append(pair)
        without += not pair.user_id
        if pair.conversation_id:
            conversations[pair.tenant, pair.conversation_id].add(side)
    if torn := [key for key, found in conversations.items() if len(found) > 1]:
        raise FailedPrecondition("a conversation stands on two sides of the split", conversations=len(torn))
    sides["pairs"], crossing = apart(sides["pairs"], [pair for name in ("gate", "evaluation") for pair in sides[name]])
    return Split({name: tuple(found) for name, found in sides.items()}, without, crossing)


def apart(pairs: Iterable[Preference], measured: Sequence[Preference]) -> tuple[list[Preference], dict[str, int]]:
    """The pairs that may be trained on where these are measured on, and how many may not, by cause."""
    known = _Measured(measured)
    kept, crossing = [], Counter[str]()
    for pair in pairs:
        cause = known.crossed_by(pair)
        if cause:
            crossing[cause] += 1
        else:
            kept.append(pair)
    return kept, dict(crossing)


class _Measured:
    """What the measuring sides hold. owns: their prompts, answers and long runs of words."""

    def __init__(self, pairs: Sequence[Preference]) -> None:
        self._examples = {(_prompt(pair), tuple(words(c.response))) for pair in pairs for c in pair.candidates}
        self._runs = {run for pair in pairs for c in pair.candidates for run in runs(c.response, LONG_RUN_WORDS)}

    def crossed_by(self, pair: Preference) -> str:
        """Why this pair may not be trained on, or "".

        A prompt together with one of its answers is the same example; a prompt alone is not: many people ask the same
        question. A long run of words of an answer is a copy whatever stands around it.
        """
        prompt = _prompt(pair)
        if any((prompt, tuple(words(c.response))) in self._examples for c in pair.candidates):
            return "same_example"
        if any(runs(c.response, LONG_RUN_WORDS) & self._runs for c in pair.candidates):
            return "near_duplicate"
        return ""


def _prompt(pair: Preference) -> tuple[str, ...]:
    return tuple(words("\n".join(m.content for m in pair.prompt)))

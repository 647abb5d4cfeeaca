"""Which drafts may become training data. Every refusal has a cause, a stable word, and is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.charter import Charter, question_of
from rejoinder.core.errors import BadSettings
from rejoinder.core.finders import KINDS, Finder, unknown_regions
from rejoinder.core.types import Preference
from rejoinder.rounds.pairs.context import Draft

_WORD = re.compile(r"\w+")
#: What an answer that would be learnt by heart must not hold. Web addresses are no person's, and those of machines are
#: what many answers are about.
_PII = ("email", "iban", "card", "ssn", "phone")

#: Words of a run that a prompt must not share with a wish.
LEAK_WORDS = 5


@dataclass(frozen=True)
class GuardSettings:
    """max_per_user: pairs of one user in a round (F15). near_duplicate: Jaccard of 5-word runs, each part of the
    pair by itself.

    min_length_ratio: shorter over longer answer, in characters; 0 turns it off. support_floor: least log p per token
    (nats) of the chosen answer without guidance; -inf turns it off. pii: refuse pairs with addresses of mail, phones,
    cards, accounts and social security numbers. phone_regions: countries (ISO 3166) whose national numbers are found.
    """

    max_per_user: int = 50
    near_duplicate: float = 0.9
    min_length_ratio: float = 0.1
    support_floor: float = -6.0
    pii: bool = True
    phone_regions: tuple[str, ...] = ("US",)

    def __post_init__(self) -> None:
        if unknown := unknown_regions(self.phone_regions):
            raise BadSettings(f"guards.phone_regions: {unknown[0]} is no country's code in ISO 3166")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def runs(text: str, size: int) -> set[tuple[str, ...]]:
    """All runs of `size` words, letter case and punctuation aside."""
    said = words(text)
    return {tuple(said[i : i + size]) for i in range(len(said) - size + 1)}


def leaks(pair: Preference, forbidden: Sequence[str], history: str) -> bool:
    """Whether the training prompt holds a forbidden text, or a 5-word run of one that was not in the history.

    history: the conversation as the user had it. A pair's prompt ends before the rejected answer, so that a follow-up
    can only stand in it by mistake.
    """
    prompt = "\n".join(message.content for message in pair.prompt)
    allowed = runs(history, LEAK_WORDS)
    for text in forbidden:
        said = words(text)
        if len(said) < LEAK_WORDS:
            # Too short for a run: its very words, as a line of the prompt that the history did not have.
            lines = {tuple(words(line)) for line in prompt.splitlines()}
            had = {tuple(words(line)) for line in history.splitlines()}
            if said and tuple(said) in lines - had:
                return True
        elif (runs(text, LEAK_WORDS) - allowed) & runs(prompt, LEAK_WORDS):
            return True
    return False


def holds_pii(pair: Preference, finders: Sequence[Finder]) -> bool:
    """Whether an answer that would be learnt by heart holds what one of the finders finds."""
    return any(True for text in learnt(pair) for find in finders for _ in find(text))


def learnt(pair: Preference) -> list[str]:
    """The answers of a pair, or of a list, that are preferred to another."""
    return [pair.candidates[i].response for i in pair.order[:-1]]


def breaks(pair: Preference, charter: Charter | None) -> str:
    """The id of the first veto norm that an answer to be learnt breaks, "" for none."""
    return charter.broken(question_of(pair.prompt), learnt(pair)) if charter is not None else ""


class Guards:
    """charter: whose veto norms no answer that would be learnt may break. owns: what it has let pass so far (texts for
    near-duplicates, pairs per user)."""

    def __init__(self, settings: GuardSettings, charter: Charter | None = None) -> None:
        self._settings = settings
        self._charter = charter
        self._pii = tuple(KINDS[name].make(settings.phone_regions) for name in _PII) if settings.pii else ()
        self._users: Counter[tuple[str, str]] = Counter()
        self._index: dict[tuple[str, ...], set[int]] = {}
        self._shingles: list[set[tuple[str, ...]]] = []

    def refuse(self, draft: Draft, history: str) -> str:
        """The cause, or "" when the pair passes. Asked in the order of the pairs: of two twins the first stays."""
        pair = draft.preference
        chosen, rejected = pair.chosen.strip(), pair.rejected.strip()
        shorter, longer = sorted((len(chosen), len(rejected)))
        person = (pair.tenant, pair.user_id or pair.conversation_id)
        if not chosen or not rejected:
            return "empty_response"
        if words(chosen) == words(rejected):
            return "identical_responses"
        if shorter < self._settings.min_length_ratio * longer:
            return "length_ratio"
        if draft.likelihoods and draft.likelihoods[0].per_token < self._settings.support_floor:
            return "support_floor"
        if leaks(pair, draft.forbidden, history):
            return "wish_in_prompt"
        if holds_pii(pair, self._pii):
            return "pii"
        if norm := breaks(pair, self._charter):
            return f"norm.{norm}"
        if person[1] and self._users[person] >= self._settings.max_per_user:
            return "user_cap"
        if self._twin(pair):
            return "near_duplicate"
        self._users[person] += 1
        return ""

    def _twin(self, pair: Preference) -> bool:
        """Whether nearly the same pair passed before; remembers this one when not."""
        # Each part by itself: the same answers with their sides exchanged teach the opposite, and whoever could make
        # them count as twins would put other people's pairs aside.
        parts = ("\n".join(m.content for m in pair.prompt), pair.chosen, pair.rejected)
        mine = {
            (part, *run)
            for part, text in zip(("prompt", "chosen", "rejected"), parts, strict=True)
            for run in runs(text, LEAK_WORDS) or {tuple(words(text))}
        }
        shared: Counter[int] = Counter()
        for run in mine:
            shared.update(self._index.get(run, ()))
        for other, count in shared.items():
            if count >= self._settings.near_duplicate * (len(mine) + len(self._shingles[other]) - count):
                return True
        for run in mine:
            self._index.setdefault(run, set()).add(len(self._shingles))
        self._shingles.append(mine)
        return False

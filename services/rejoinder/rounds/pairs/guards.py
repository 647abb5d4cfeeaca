"""Which drafts may become training data. Every refusal has a cause, a stable word, and is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.types import Preference
from rejoinder.rounds.pairs.context import Draft

_WORD = re.compile(r"\w+")
_PII = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")),
    ("phone", re.compile(r"(?<![\w.,])\+?\d{1,3}[ -]?\(?\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,4}(?![\w.,])")),
    ("card", re.compile(r"(?<!\d)(?:\d{4}[ -]){3}\d{4}(?!\d)")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b")),
)

#: Words of a run that a prompt must not share with a wish.
LEAK_WORDS = 5


@dataclass(frozen=True)
class GuardSettings:
    """max_per_user: pairs of one user in a round (F15). near_duplicate: Jaccard of 5-word runs of prompt and answers.

    min_length_ratio: shorter over longer answer, in characters; 0 turns it off. support_floor: least log p per token
    (nats) of the chosen answer without guidance; -inf turns it off. pii: refuse pairs with addresses, phones, cards.
    """

    max_per_user: int = 50
    near_duplicate: float = 0.9
    min_length_ratio: float = 0.1
    support_floor: float = -6.0
    pii: bool = True


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


def holds_pii(pair: Preference) -> bool:
    """Whether an answer that would be learnt by heart holds an address, a phone, a card or an account number."""
    return any(pattern.search(pair.chosen) for _, pattern in _PII)


class Guards:
    """owns: what it has let pass so far (texts for near-duplicates, pairs per user)."""

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
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
        if self._settings.pii and holds_pii(pair):
            return "pii"
        if person[1] and self._users[person] >= self._settings.max_per_user:
            return "user_cap"
        if self._twin(pair):
            return "near_duplicate"
        self._users[person] += 1
        return ""

    def _twin(self, pair: Preference) -> bool:
        """Whether nearly the same pair passed before; remembers this one when not."""
        text = "\n".join([*(m.content for m in pair.prompt), pair.chosen, pair.rejected])
        mine = runs(text, LEAK_WORDS) or {tuple(words(text))}
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

"""Pairs as tokens: what an objective sees of each, and which cannot be learnt from, counted by cause."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rejoinder.training.feeds import HISTORY, JOINT, JUDGED, LIST, PAIR
from rejoinder.training.pairs import Messages, Pair, instructions
from rejoinder.training.turns import encode_prompt, encode_response, end_of_turn


@dataclass(frozen=True)
class Example:
    """A pair as tokens. responses: (chosen, rejected), or a list best first, each with the token that ends a turn.

    values: of the responses, in the judge's unit; 1 and 0 for the sides of a pair. counted: which tokens of each
    response are seen by an objective; None for all. opening: how many tokens of each response are its own prompt's,
    what its prompt does not share with the other's. bare: the prompt without the user's history,
    instructions kept; None where the objective does not ask for it.
    """

    id: str
    group: str
    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    weight: float
    margin: float
    eps: float
    """NaN where nobody estimated it."""
    values: tuple[float, ...] = (1.0, 0.0)
    counted: tuple[tuple[bool, ...], ...] | None = None
    opening: tuple[int, ...] | None = None
    bare: tuple[int, ...] | None = None

    @property
    def tokens(self) -> int:
        """Tokens of the packed row: the prompt once, then every response."""
        return len(self.prompt) + sum(map(len, self.responses))

    @property
    def seen(self) -> int:
        """Response tokens that an objective sees."""
        return sum(map(len, self.responses)) if self.counted is None else sum(map(sum, self.counted))

    @property
    def asked(self) -> tuple[int, ...]:
        """What the first response answers, whole."""
        return self.prompt if self.opening is None else self.prompt + self.responses[0][: self.opening[0]]

    def length(self, k: int) -> int:
        """Tokens of an answer, without its own prompt's."""
        return len(self.responses[k]) - (0 if self.opening is None else self.opening[k])


def encode(
    pairs: Sequence[Pair],
    tokenizer: Any,
    max_tokens: int,
    feed: str = PAIR,
    thoughts: tuple[str, str] | None = None,
) -> tuple[list[Example], Counter[str]]:
    """Tokens of every pair that can be learnt from, and how many were dropped for which cause.

    A response is encoded by itself and closed with the end-of-turn token, as generation would have produced it; a
    special token spelt out in a user's or a model's text stays text. feed: what the objective reads (feeds.py).
    thoughts: marks between which a response's tokens, and the marks themselves, are not counted.
    """
    end = end_of_turn(tokenizer)
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for pair in pairs:
        answers = _answers(pair, feed)
        encoded = [encode_response(text, tokenizer, end, thoughts) for text, _ in answers]
        responses = tuple(tokens for tokens, _ in encoded)
        prompt = encode_prompt(pair.prompt, tokenizer)
        opening = None
        bare = encode_prompt(_bare(pair), tokenizer) if feed == HISTORY else None
        if pair.rejected_prompt is not None and feed == JOINT:
            prompt, opening, responses = _joint(prompt, encode_prompt(pair.rejected_prompt, tokenizer), responses)
        cause = _cause(pair, feed, len(prompt), [text for text, _ in answers], responses, max_tokens)
        if cause:
            dropped[cause] += 1
            continue
        counted = None
        if thoughts is not None:
            own = opening or (0,) * len(responses)
            counted = tuple((True,) * n + marks for n, (_, marks) in zip(own, encoded, strict=True))
        eps = math.nan if pair.flip_probability is None else pair.flip_probability
        values = tuple(value for _, value in answers)
        examples.append(
            Example(
                pair.id, pair.group, prompt, responses, pair.weight, pair.margin, eps, values, counted, opening, bare
            )
        )
    return examples, dropped


def _bare(pair: Pair) -> Messages:
    """Its prompt without what is known of the user; the operator's instructions stay."""
    head = instructions(pair.prompt)
    return (*pair.prompt[:head], *pair.prompt[head + pair.history :])


def _answers(pair: Pair, feed: str) -> list[tuple[str, float]]:
    """Texts with their values, best first: a list whole where the objective reads lists, else its ends; of a pair with
    a history the chosen alone."""
    if feed == LIST and pair.candidates:
        return list(pair.candidates)
    sides = ((pair.chosen, 1.0),) if feed == HISTORY else ((pair.chosen, 1.0), (pair.rejected, 0.0))
    return [(text, value) for text, value in sides if text is not None]


def _joint(
    chosen: tuple[int, ...], rejected: tuple[int, ...], responses: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """What two prompts share, how much each has for itself, and the responses behind their own part.

    log p(x, y) of the two sides differs by nothing that they share, so the shared part is a prompt as any other.
    """
    shared = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    shared = min(len(chosen), len(rejected)) if shared is None else shared
    own = (chosen[shared:], rejected[shared:])
    joined = tuple(part + answer for part, answer in zip(own, responses, strict=True))
    return chosen[:shared], (len(own[0]), len(own[1])), joined


def _cause(
    pair: Pair, feed: str, shared: int, texts: Sequence[str], responses: tuple[tuple[int, ...], ...], max_tokens: int
) -> str | None:
    if pair.rejected_prompt is not None and feed != JOINT:
        return "two_prompts"
    if not responses or (len(responses) < 2 and feed not in (JUDGED, HISTORY)):
        return "one_side"
    if feed == HISTORY and not pair.history:
        return "no_history"
    if not shared:
        return "no_shared_prompt"
    if not all(text.strip() for text in texts):
        return "empty_response"
    if len(responses) > 1 and responses[0] == responses[-1]:
        return "identical_responses"
    if pair.weight == 0:
        return "zero_weight"
    return "too_long" if shared + sum(map(len, responses)) > max_tokens else None

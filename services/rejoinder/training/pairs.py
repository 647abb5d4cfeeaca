"""What comes in: a pairs file as plain values, and the same pairs as tokens under the base's own chat template."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile

Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Pair:
    """One line of a pairs file.

    prompt: messages {role, content} that end before the responses. weight >= 0. margin: the judge's, 0 if unknown.
    flip_probability in [0, 0.5), None where nobody estimated it. group: what is resampled together in an interval (a
    user's or a conversation's digest); the pair's own id where it is not given.
    """

    id: str
    prompt: Messages
    chosen: str
    rejected: str
    weight: float = 1.0
    margin: float = 0.0
    flip_probability: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Example:
    """A pair as tokens. responses: (chosen, rejected), each with the token that ends a turn."""

    id: str
    group: str
    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    weight: float
    margin: float
    eps: float
    """NaN where nobody estimated it."""

    @property
    def tokens(self) -> int:
        """Tokens of the packed row: the prompt once, then every response."""
        return len(self.prompt) + sum(map(len, self.responses))


def read_pairs(path: Path) -> Iterator[Pair]:
    """The pairs of a JSON Lines file in its order; BadFile names line and field, never a word of a user."""
    seen: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            pair = _pair(line, number)
            if pair.id in seen:
                raise BadFile(f"line {number}: id stands twice in the file", line=number, field="id")
            seen.add(pair.id)
            yield pair


def _pair(line: str, number: int) -> Pair:
    def refuse(field: str, why: str) -> BadFile:
        return BadFile(f"line {number}: {field} {why}", line=number, field=field)

    try:
        value: Any = json.loads(line)
    except json.JSONDecodeError:
        raise refuse("line", "is not JSON") from None
    if not isinstance(value, dict):
        raise refuse("line", "is not an object")
    for field in ("id", "chosen", "rejected"):
        if not isinstance(value.get(field), str):
            raise refuse(field, "is not a text")
    prompt = value.get("prompt")
    messages = isinstance(prompt, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in prompt
    )
    if not messages or not prompt:
        raise refuse("prompt", "is not a list of {role, content}")
    numbers = {"weight": value.get("weight", 1.0), "margin": value.get("margin", 0.0)}
    flip = value.get("flip_probability")
    for field, figure in (*numbers.items(), ("flip_probability", 0.0 if flip is None else flip)):
        if isinstance(figure, bool) or not isinstance(figure, int | float) or not math.isfinite(figure):
            raise refuse(field, "is not a finite number")
    if numbers["weight"] < 0:
        raise refuse("weight", "is negative")
    if flip is not None and not 0 <= flip < 0.5:
        raise refuse("flip_probability", "is outside [0, 0.5)")
    return Pair(
        id=value["id"],
        prompt=tuple({"role": m["role"], "content": m["content"]} for m in prompt),
        chosen=value["chosen"],
        rejected=value["rejected"],
        weight=float(numbers["weight"]),
        margin=float(numbers["margin"]),
        flip_probability=None if flip is None else float(flip),
        group=str(value.get("group") or value["id"]),
    )


def end_of_turn(tokenizer: Any) -> int:
    """The token with which the chat template ends an assistant's turn: what generation stops at."""
    mark = "0"
    messages = [{"role": "user", "content": mark}, {"role": "assistant", "content": mark}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    ids = tokenizer.encode(text[text.rindex(mark) + len(mark) :], add_special_tokens=False)
    special = set(tokenizer.all_special_ids)
    return next((i for i in ids if i in special), tokenizer.eos_token_id)


def encode(pairs: Sequence[Pair], tokenizer: Any, max_tokens: int) -> tuple[list[Example], Counter[str]]:
    """Tokens of every pair that can be learnt from, and how many were dropped for which cause.

    A response is encoded by itself and closed with the end-of-turn token, as generation would have produced it; a
    special token spelt out in a user's or a model's text stays text.
    """
    end = end_of_turn(tokenizer)
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for pair in pairs:
        chosen, rejected = (
            (*tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True), end)
            for text in (pair.chosen, pair.rejected)
        )
        prompt = encode_prompt(pair.prompt, tokenizer)
        cause = _cause(pair, len(prompt) + len(chosen) + len(rejected), chosen == rejected, max_tokens)
        if cause:
            dropped[cause] += 1
            continue
        eps = math.nan if pair.flip_probability is None else pair.flip_probability
        examples.append(Example(pair.id, pair.group, prompt, (chosen, rejected), pair.weight, pair.margin, eps))
    return examples, dropped


def encode_prompt(messages: Messages, tokenizer: Any) -> tuple[int, ...]:
    """The prompt under the chat template, up to and including the header of the assistant's turn."""
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def _cause(pair: Pair, tokens: int, identical: bool, max_tokens: int) -> str | None:
    if not pair.chosen.strip() or not pair.rejected.strip():
        return "empty_response"
    if identical:
        return "identical_responses"
    if pair.weight == 0:
        return "zero_weight"
    return "too_long" if tokens > max_tokens else None

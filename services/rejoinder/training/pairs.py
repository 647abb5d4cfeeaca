"""A pairs file as plain values: what a line may say, and what is refused with its number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile

Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Pair:
    """One line of a pairs file.

    prompt: messages {role, content} that end before the responses. chosen, rejected: one of them may be None, an answer
    that was judged by itself. rejected_prompt: the rejected answer's, where it answers another. candidates: all answers
    of a list with their values, best first; chosen and rejected are its ends. history: how many of the prompt's first
    messages, behind system messages at its head, are what is known of the user; all but the last where it is not given.
    weight >= 0. margin: the judge's, 0 if unknown. flip_probability in [0, 0.5), None where nobody estimated it. group:
    what is resampled together in an interval (a user's or a conversation's digest); the pair's own id where it is not
    given.
    """

    id: str
    prompt: Messages
    chosen: str | None
    rejected: str | None
    weight: float = 1.0
    margin: float = 0.0
    flip_probability: float | None = None
    group: str = ""
    rejected_prompt: Messages | None = None
    candidates: tuple[tuple[str, float], ...] = ()
    history: int = 0


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
    if not isinstance(value.get("id"), str):
        raise refuse("id", "is not a text")
    for field in ("chosen", "rejected"):
        if not isinstance(value.get(field, ""), str):
            raise refuse(field, "is not a text")
    if "chosen" not in value and "rejected" not in value:
        raise refuse("chosen", "is not there, nor is rejected")
    prompt: Any = value.get("prompt")
    if not _are_messages(prompt):
        raise refuse("prompt", "is not a list of {role, content}")
    other = value.get("rejected_prompt")
    if other is not None and not (_are_messages(other) and "chosen" in value and "rejected" in value):
        raise refuse("rejected_prompt", "is not a list of {role, content} beside two answers")
    candidates = value.get("candidates", [])
    if not _are_candidates(candidates, value.get("chosen"), value.get("rejected")):
        raise refuse("candidates", "is not a list of {text, value} falling from chosen to rejected")
    most = len(prompt) - 1 - instructions(prompt)
    history = value.get("history", most)
    if isinstance(history, bool) or not isinstance(history, int) or not 0 <= history <= most:
        raise refuse("history", "is not a number of messages that leaves one of the prompt, system messages aside")
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
        prompt=_messages(prompt),
        chosen=value.get("chosen"),
        rejected=value.get("rejected"),
        weight=float(numbers["weight"]),
        margin=float(numbers["margin"]),
        flip_probability=None if flip is None else float(flip),
        group=str(value.get("group") or value["id"]),
        rejected_prompt=None if other is None else _messages(other),
        candidates=tuple((c["text"], float(c["value"])) for c in candidates),
        history=history,
    )


def instructions(prompt: Sequence[Mapping[str, str]]) -> int:
    """System messages at a prompt's head, its last message aside: the operator's, and nobody's history."""
    return next((i for i, said in enumerate(prompt[:-1]) if said["role"] != "system"), len(prompt) - 1)


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in value
        )
    )


def _messages(value: Any) -> Messages:
    return tuple({"role": m["role"], "content": m["content"]} for m in value)


def _are_candidates(value: Any, chosen: str | None, rejected: str | None) -> bool:
    """Whether there is no list, or one of two and more texts whose values fall from the chosen to the rejected."""
    if not isinstance(value, list):
        return False
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("text"), str):
            return False
        figure = item.get("value")
        if isinstance(figure, bool) or not isinstance(figure, int | float) or not math.isfinite(figure):
            return False
    values = [item["value"] for item in value]
    ends = not value or (value[0]["text"], value[-1]["text"]) == (chosen, rejected)
    return ends and len(value) != 1 and values == sorted(values, reverse=True)

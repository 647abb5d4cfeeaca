"""Prompts and answers as tokens, under the base's own chat template."""

from __future__ import annotations

from typing import Any

from rejoinder.training.pairs import Messages


def end_of_turn(tokenizer: Any) -> int:
    """The token with which the chat template ends an assistant's turn: what generation stops at."""
    mark = "0"
    messages = [{"role": "user", "content": mark}, {"role": "assistant", "content": mark}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    ids = tokenizer.encode(text[text.rindex(mark) + len(mark) :], add_special_tokens=False)
    special = set(tokenizer.all_special_ids)
    return next((i for i in ids if i in special), tokenizer.eos_token_id)


def encode_prompt(messages: Messages, tokenizer: Any) -> tuple[int, ...]:
    """The prompt under the chat template, up to and including the header of the assistant's turn."""
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def encode_response(
    text: str, tokenizer: Any, end: int, thoughts: tuple[str, str] | None
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Tokens of an answer with its end, and which of them are counted."""
    if thoughts is None:
        tokens = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return (*tokens, end), (True,) * (len(tokens) + 1)
    found = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    spans = _spans(text, *thoughts)
    places = found["offset_mapping"]
    marks = (not any(first < stop and start < last for start, stop in spans) for first, last in places)
    return (*found["input_ids"], end), (*marks, True)


def _spans(text: str, opened: str, closed: str) -> list[tuple[int, int]]:
    """(start, stop) of every thought in characters, its marks included; one that is never closed goes to the end."""
    spans, start = [], text.find(opened)
    while start >= 0:
        stop = text.find(closed, start + len(opened))
        stop = len(text) if stop < 0 else stop + len(closed)
        spans.append((start, stop))
        start = text.find(opened, stop)
    return spans

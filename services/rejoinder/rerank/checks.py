"""What may be asked for. Whatever passes here is an interaction that ingest takes: no slate goes unrecorded for its
form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.core.errors import EmptyField, InvalidArgument, TooLong
from rejoinder.core.ids import MAX_PARTS, check_name
from rejoinder.core.types import Interaction

#: 2000-01-01, and a day ahead: a time outside is a clock that was never set.
_EARLIEST, _AHEAD_S = 946_684_800.0, 86_400.0


@dataclass(frozen=True)
class Limits:
    """max_drawn: places of a drawn slate. max_text_bytes: UTF-8 of one text; max_bytes: of all of a request."""

    max_candidates: int = 1000
    max_drawn: int = 100
    max_text_bytes: int = 256 * 1024
    max_bytes: int = 8 * 1024 * 1024


def check_candidates(candidates: Sequence[tuple[str, str]], limits: Limits) -> None:
    """(id, text) of each."""
    ids = [candidate for candidate, _ in candidates]
    if not ids or not all(ids):
        raise EmptyField("candidates.id" if ids else "candidates")
    if len(ids) > limits.max_candidates:
        raise TooLong("candidates", len(ids), limits.max_candidates, "items")
    if len(set(ids)) != len(ids):
        raise InvalidArgument("two candidates share an id", field="candidates.id")
    for candidate in ids:
        check_name("candidates.id", candidate)


def check_texts(asked: Interaction, query: str, candidates: Sequence[tuple[str, str]], limits: Limits) -> None:
    if not query.strip():
        raise EmptyField("query")
    if len(asked.messages) > MAX_PARTS:
        raise TooLong("user_context", len(asked.messages), MAX_PARTS, "messages")
    texts = [("query", query), *(("candidates.text", text) for _, text in candidates)]
    texts += [("user_context.content", message.content) for message in asked.messages]
    total = 0
    for field, text in texts:
        size = len(text.encode())
        if size > limits.max_text_bytes:
            raise TooLong(field, size, limits.max_text_bytes)
        total += size
    if total > limits.max_bytes:
        raise TooLong("request", total, limits.max_bytes)


def check_interaction(asked: Interaction, now: float) -> None:
    """Ids and time; `now` in seconds since the epoch."""
    for name in ("tenant", "interaction_id", "conversation_id", "user_id"):
        check_name(name, getattr(asked, name))
    began = asked.conversation_started_at
    if began is not None and not _EARLIEST <= began <= now + _AHEAD_S:
        raise InvalidArgument(
            "conversation_started_at is before 2000 or ahead of the clock", field="conversation_started_at"
        )


def checked_places(top_n: int, count: int, temperature: float, limits: Limits) -> int:
    """Places of the slate: top_n of `count` candidates, 0 = all."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise InvalidArgument("temperature must be finite and not below zero", field="temperature")
    if top_n < 0:
        raise InvalidArgument("top_n must not be below zero", field="top_n")
    places = min(top_n or count, count)
    if temperature and places > limits.max_drawn:
        raise TooLong("top_n", places, limits.max_drawn, "places of a drawn slate")
    return places

"""A text cut at the spans that an extractor, or a person, gave as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rejoinder.core.errors import InvalidArgument
from rejoinder.core.types import (
    Abandon,
    Click,
    Comment,
    Comparison,
    Copy,
    Edit,
    Feedback,
    FollowUp,
    Outcome,
    Rating,
    Reason,
    Regenerate,
)


@dataclass(frozen=True)
class Piece:
    """reasons: those whose span covers it; none for plain text."""

    text: str
    reasons: tuple[str, ...] = ()


def pieces(text: str, reasons: Sequence[Reason]) -> list[Piece]:
    """The text in order, cut wherever a span begins or ends. Spans beyond the text are cut off."""
    spans = [
        (max(0, reason.start), min(len(text), reason.end), reason.rubric)
        for reason in reasons
        if max(0, reason.start) < min(len(text), reason.end)
    ]
    cuts = sorted({0, len(text), *(place for start, end, _ in spans for place in (start, end))})
    out: list[Piece] = []
    for start, end in pairwise(cuts):
        covering = tuple(dict.fromkeys(name for s, e, name in spans if s <= start and end <= e))
        out.append(Piece(text[start:end], covering))
    return out


def place_of(words: str, text: str) -> tuple[int, int]:
    """Where a person's quotation stands in a text: (0, 0) for none. Raises InvalidArgument where it does not stand."""
    wanted = words.strip()
    if not wanted:
        return 0, 0
    start = text.find(wanted)
    if start < 0:
        start = text.lower().find(wanted.lower()) if len(text.lower()) == len(text) else -1
    if start < 0:
        raise InvalidArgument("the words that show it must stand in what the user said", field="words")
    return start, start + len(wanted)


def said(feedback: Feedback) -> str:
    """What the user wrote; "" where they wrote nothing."""
    kind = feedback.kind
    return kind.text if isinstance(kind, FollowUp | Comment | Edit) else ""


def did(feedback: Feedback) -> str:
    """What the user did, for people, without a word of theirs but a rating's own category."""
    kind = feedback.kind
    if isinstance(kind, Rating):
        name = f" ({kind.name})" if kind.name else ""
        if kind.category is not None:
            return f"rated {kind.category}{name}"
        return f"rated {kind.number:g} on a scale of {kind.scale_min:g} to {kind.scale_max:g}{name}"
    if isinstance(kind, Comparison):
        return f"compared with another answer: {kind.choice.value.lower().replace('_', ' ')}"
    if isinstance(kind, Click):
        return f"chose place {kind.position}"
    if isinstance(kind, Outcome):
        return f"outcome {kind.name}: {kind.value:g}"
    if isinstance(kind, Copy):
        return "copied the answer"
    if isinstance(kind, Regenerate):
        return "asked for another answer"
    if isinstance(kind, Abandon):
        return "left without a word"
    return {"follow_up": "said next", "comment": "commented", "edit": "rewrote it"}.get(feedback.kind_name, "")

"""What formats are read into. A conversation is a tree of turns, because people regenerate and annotators rank; a log
of calls holds exchanges, and what people thought of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rejoinder.core.types import Kind, Message, Rating, Role


@dataclass(frozen=True)
class Turn:
    """One message. id is unique in its conversation; parent "" is a root.

    at: seconds since the epoch, None where the log has no time. model: what wrote an assistant turn, "" when unknown.
    rank: place among its siblings, 0 best, None when nobody ranked. ratings: what people said about this turn.
    """

    id: str
    parent: str
    role: Role
    text: str
    at: float | None = None
    user_id: str = ""
    model: str = ""
    rank: int | None = None
    ratings: tuple[Rating, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """Turns in reading order, parents before children. user_id: who asked, where one person did."""

    id: str
    turns: tuple[Turn, ...]
    user_id: str = ""


def chain(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Turns one after another: ids 0, 1, 2, … unless given, each the child of the one before."""
    made: list[Turn] = []
    for number, turn in enumerate(turns):
        made.append(replace(turn, id=turn.id or str(number), parent=made[-1].id if made else ""))
    return tuple(made)


@dataclass(frozen=True)
class Exchange:
    """One answered request. messages: with what stood before it, oldest first: those answers have records of their own.

    id: of the answer, "" where the log has none; attempt: which try at it, where a log has several.
    """

    id: str
    messages: tuple[Message, ...]
    response: str
    attempt: str = ""
    conversation: str = ""
    user: str = ""
    model: str = ""
    at: float | None = None


@dataclass(frozen=True)
class Reacted:
    """What somebody thought of an answer. about, attempt: which."""

    id: str
    about: str
    attempt: str
    kind: Kind
    at: float | None = None

"""From what was said of the traffic to a sheet and its design: draws, and reads the drawn turns once more.

Once more because a signal keeps the probability of what was said, and a recalibration needs those of all three classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from rejoinder.core.errors import NotFound
from rejoinder.core.ids import digest_of_text
from rejoinder.core.types import FollowUp, Role
from rejoinder.signals.audit.sample import Said, draw
from rejoinder.signals.audit.sheet import Design, Read, Turn
from rejoinder.signals.extractors.evidence import TextModel
from rejoinder.signals.extractors.minilm import NAME, UNREAD, logits_of, shipped
from rejoinder.signals.worker import Piece

#: Feedback events → those of their pieces that are still there.
Fetch = Callable[[Sequence[str]], Iterable[Piece]]


def ask(said: Iterable[Said], fetch: Fetch, text: TextModel, size: int, seed: int) -> tuple[list[Turn], Design]:
    """The sheet's turns, at most `size`, and what is kept beside it. Raises NotFound where nothing was said."""
    drawn = draw(said, size, seed)
    place = {one.event_id: (stratum, one.confidence) for stratum, turns in drawn.turns.items() for one in turns}
    pieces = {piece.feedback.event_id: piece for piece in fetch(list(place))}
    if not pieces:
        raise NotFound(
            f"no follow-up was read by {text.version}; --model and --calibration name what the traffic was read with, "
            "and `rejoinder signals run` reads what is joined"
        )
    # By hash: the order of the lines says nothing of what was predicted.
    names = sorted(pieces, key=lambda name: digest_of_text(f"{seed}\0line\0{name}"))
    turns = [_turn(name, pieces[name]) for name in names]
    found = logits_of([(turn.answer, turn.followup) for turn in turns], text)
    reads: Mapping[str, Read] = {
        name: Read(place[name][0], UNREAD if one is None else _plain(shipped(one[0], text)), place[name][1])
        for name, one in zip(names, found, strict=True)
    }
    return turns, Design(NAME, text.version, text.model, seed, drawn.population, reads)


def _plain(p: np.ndarray) -> tuple[float, float, float]:
    return float(p[0]), float(p[1]), float(p[2])


def _turn(name: str, piece: Piece) -> Turn:
    asked = next((m.content for m in reversed(piece.interaction.messages) if m.role is Role.USER), "")
    kind = piece.feedback.kind
    return Turn(name, asked, piece.interaction.response, kind.text if isinstance(kind, FollowUp) else "")

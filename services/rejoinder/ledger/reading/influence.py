"""How much one person, and one caller, may move a round (F15, U22): of more evidence than that, a fixed choice stays.

The choice is the lowest keyed digests. It depends on the set of pieces alone, not on the order in which they came, so
a replay chooses the same; and whoever picks event ids cannot pick what stays without the deployment's key. What is
over a cap is stored, counted, and in no window: neither in this one nor in a later one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

from rejoinder.core.arms import unit_id
from rejoinder.ledger.reading.ready import Piece
from rejoinder.ledger.settings import LedgerSettings


def within_caps(pieces: Sequence[Piece], settings: LedgerSettings) -> tuple[list[Piece], Counter[str]]:
    """The pieces that stay, in their order, and how many went, by cause (user_cap, principal_cap).

    A person is a user; where none is known, a conversation. The caps of persons are kept first, so that one of them
    cannot use up what their application may say.
    """
    rules, key = settings.rules, settings.forgetting.key
    persons = _lowest(pieces, rules.evidence_per_user, key, person)
    callers = _lowest(persons, rules.evidence_per_principal, key, lambda p: (p.tenant, p.ask["principal"]))
    went = {"user_cap": len(pieces) - len(persons), "principal_cap": len(persons) - len(callers)}
    return callers, Counter({cause: count for cause, count in went.items() if count})


def person(piece: Piece) -> str:
    """Whose word a piece is. A feedback that names nobody is its answer's user's, as everywhere."""
    user = piece.answer["user_id"] or piece.ask["user_id"]
    return unit_id(piece.tenant, user, piece.answer["conversation_id"], piece.answer["interaction_id"])


def _lowest(pieces: Sequence[Piece], most: int | None, key: bytes, of: Callable[[Piece], Hashable]) -> list[Piece]:
    groups: dict[Hashable, list[Piece]] = defaultdict(list)
    for piece in pieces:
        groups[of(piece)].append(piece)
    if most is None or all(len(group) <= most for group in groups.values()):
        return list(pieces)
    stays = {
        (piece.tenant, piece.id)
        for group in groups.values()
        for piece in (group if len(group) <= most else sorted(group, key=lambda p: _draw(key, p))[:most])
    }
    return [piece for piece in pieces if (piece.tenant, piece.id) in stays]


def _draw(key: bytes, piece: Piece) -> bytes:
    named = f"influence\x00{piece.tenant}\x00{piece.id}".encode()
    return hmac.new(key, named, hashlib.sha256).digest()

"""Which record of an id is the event: a pure rule over the set of records, so no order of reading can change it.

The lowest (topic, partition, offset) wins. The others are duplicates where their body is the winner's; else conflicts,
dead-lettered with both places. A derived event (a signal) is made by a model that may answer differently the next time:
a second body is a duplicate there, counted and no error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from rejoinder.ledger.stores.rows import Place
from rejoinder.stream.topics import kind_of

DERIVED = frozenset({"signals"})


class Copy(Protocol):
    @property
    def place(self) -> Place: ...

    @property
    def body_digest(self) -> str: ...


C = TypeVar("C", bound=Copy)


def counted_as(winner: Place, winner_digest: str, copy: Copy) -> str:
    """The parity counter of a record that is not the event of its id."""
    same = copy.body_digest == winner_digest
    derived = kind_of(copy.place[0]) in DERIVED and kind_of(winner[0]) in DERIVED
    return "duplicate" if same or derived else "conflict"


def settle(copies: Iterable[C]) -> tuple[C, Sequence[tuple[C, str]]]:
    """The event among the records of one id, and the counter of each other record. copies: at least one."""
    ordered = sorted(copies, key=lambda copy: copy.place)
    winner = ordered[0]
    return winner, [(copy, counted_as(winner.place, winner.body_digest, copy)) for copy in ordered[1:]]

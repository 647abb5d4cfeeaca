"""The ids that this process has appended lately, to answer a second copy. A hint, bounded: the ledger decides."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import Coordinate
from rejoinder.stream.port import Appended, Identity

Outcome = Appended | RejoinderError
#: Told of a record by its number, which is its sender's own.
Tell = Callable[[int, Outcome], None]


@dataclass(slots=True)
class Slot:
    """One first copy on its way. waiting: second copies, which hear of it too."""

    digest: str
    waiting: list[tuple[Tell, int, str]] | None = None


class RecentIds:
    """owns: the slots of the last `limit` identities; safe to call from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: What is known is kept as a plain tuple, (digest, topic, partition, offset), which collections pass over.
        self._slots: OrderedDict[tuple[str, str], Slot | tuple[str, str, int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def first(self, identity: Identity, tell: Tell, number: int) -> Slot | None:
        """The slot of a first copy, to be filled. None for a second one: `tell` hears of it when the first is known."""
        key = (identity.tenant, identity.event_id)
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = Slot(identity.body_digest)
                while len(self._slots) > self._limit:
                    self._slots.popitem(last=False)
                return slot
            digest = slot.digest if isinstance(slot, Slot) else slot[0]
            verdict = "duplicate" if digest == identity.body_digest else "conflict"
            if isinstance(slot, Slot):
                slot.waiting = slot.waiting or []
                slot.waiting.append((tell, number, verdict))
                return None
        tell(number, Appended(verdict, Coordinate(*slot[1:])))
        return None

    def fill(self, identity: Identity, slot: Slot, outcome: Outcome) -> None:
        """A first copy's outcome. One that failed is forgotten: it may lie there or not, and the next copy is sent."""
        key = (identity.tenant, identity.event_id)
        with self._lock:
            if self._slots.get(key) is slot:
                if isinstance(outcome, RejoinderError):
                    del self._slots[key]
                else:
                    at = outcome.coordinate
                    self._slots[key] = (slot.digest, at.topic, at.partition, at.offset)
            waiting, slot.waiting = slot.waiting, None
        for tell, number, verdict in waiting or ():
            tell(number, outcome if isinstance(outcome, RejoinderError) else Appended(verdict, outcome.coordinate))

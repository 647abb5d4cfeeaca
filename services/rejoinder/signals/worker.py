"""The worker: joined evidence in, signals out, as often as it takes.

One of its kind, on a log with one owner; step.py is the same work shared out on Kafka.

It works from what the ledger has joined, not from the feedback topic: an answer may arrive after the feedback about
it, and only the ledger knows when the two have met. The ledger numbers evidence as it is joined and keeps, per reader,
up to where that reader has published; a reader of a new extractor version starts at the first number, so old turns are
read again by themselves (U17). Published, then acknowledged: a kill in between publishes the same signals once more,
under the same ids, which the ledger keeps once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rejoinder.core.ids import digest_of
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.core.table import Row
from rejoinder.core.types import Feedback, Interaction, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports
from rejoinder.signals.second import Auditor


class Piece(Protocol):
    """Joined evidence: what was said, and the answer it is about."""

    @property
    def interaction(self) -> Interaction: ...
    @property
    def feedback(self) -> Feedback: ...


class Numbered(Piece, Protocol):
    """One piece of joined evidence; number rises in the order in which the ledger joined it."""

    @property
    def number(self) -> int: ...


class EvidenceSource(Protocol):
    """The ledger, in process or by RPC."""

    def evidence(self, reader: str, acknowledged: int, limit: int) -> Sequence[Numbered]:
        """What comes after the greatest number this reader has acknowledged; acknowledges up to `acknowledged`."""


@dataclass(frozen=True)
class Extractor:
    """A row of the table, ready to read: its parameters and what it may call."""

    row: Row
    params: Any
    ports: Ports

    def read(self, evidence: Sequence[Evidence]) -> Sequence[Signal]:
        mine = [e for e in evidence if e.feedback.kind_name in self.row.traits["kinds"]]
        return self.row.make(mine, self.params, self.ports) if mine else ()


def reader_of(extractors: Sequence[Extractor]) -> str:
    """The name under which this set of extractors reads: another version or parameter is another reader."""
    said: list[Mapping[str, Any]] = [
        {
            "name": e.row.name,
            "params": repr(e.params),
            "version": e.ports.text.version if e.row.traits.get("needs_text") and e.ports.text else "",
        }
        for e in extractors
    ]
    return f"signals:{digest_of(said)[:16]}"


def signals_of(
    extractors: Sequence[Extractor], pieces: Sequence[Piece], auditor: Auditor | None = None
) -> list[Signal]:
    """What a set of extractors concludes from joined evidence, and the second judge from its sample; of the first a
    function of the evidence's content alone."""
    # Blind: no judge can see which version answered.
    evidence = [Evidence(replace(piece.interaction, served=None), piece.feedback) for piece in pieces]
    readers: Sequence[Extractor | Auditor] = (*extractors, auditor) if auditor is not None else extractors
    return [signal for reader in readers for signal in reader.read(evidence)]


def unread(signals: Sequence[Signal]) -> int:
    """How many are of turns whose language their extractor does not know."""
    return sum(reason.rubric == UNKNOWN_LANGUAGE for signal in signals for reason in signal.reasons)


class SignalWorker:
    """owns: the number up to which it has published.

    publish: returns when the log has the signals; raises RejoinderError when it has not, then nothing is acknowledged.
    """

    def __init__(
        self,
        source: EvidenceSource,
        publish: Callable[[Sequence[Signal]], None],
        extractors: Sequence[Extractor],
        batch: int = 256,
        auditor: Auditor | None = None,
    ) -> None:
        self._source = source
        self._publish = publish
        self._extractors = tuple(extractors)
        self._batch = batch
        self._auditor = auditor
        self._reader = reader_of(extractors)
        self._published = 0

    def turn(self) -> int:
        """Reads, extracts and publishes one batch; answers how much evidence it read, 0 when there is none."""
        found = self._source.evidence(self._reader, self._published, self._batch)
        if not found:
            return 0
        signals = signals_of(self._extractors, found, self._auditor)
        if signals:
            self._publish(signals)
        self._published = found[-1].number
        return len(found)

    def drain(self, told: Callable[[int], None] = lambda count: None) -> int:
        """Turns until nothing is left; told: hears of the total after each turn."""
        total = 0
        while count := self.turn():
            total += count
            told(total)
        return total

"""signals/step: shared out, the work makes what one worker makes; what is gone is passed, what refuses stops it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rejoinder.clients.ledger import Evidence as Numbered
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadEncoding, PermissionDenied, RejoinderError, Unavailable, UnknownEnum
from rejoinder.core.types import EvidenceReference, Feedback, Interaction, Regenerate
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.step import SignalStep, shared_worker, slot_of
from rejoinder.signals.worker import Extractor, reader_of
from rejoinder.stream.consumer import StopFlag
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import NewRecord, Record

ROWS = [Extractor(EXTRACTORS["actions"], EXTRACTORS["actions"].with_params(), Ports())]


class Ledger:
    """Gives evidence out by number, but for what is gone. owns: what it was asked for; raises `refuses`."""

    def __init__(self) -> None:
        self.gone: set[int] = set()
        self.refuses: RejoinderError | None = None
        self.asked: list[tuple[str, list[int]]] = []

    def fetch_evidence(self, reader: str, references: Sequence[EvidenceReference]) -> list[Numbered]:
        self.asked.append((reader, [reference.number for reference in references]))
        if self.refuses is not None:
            raise self.refuses
        return [piece(reference.number) for reference in references if reference.number not in self.gone]


def piece(number: int) -> Numbered:
    about = Interaction(interaction_id=f"i{number}", attempt_id=f"a{number}", response="68 F")
    return Numbered(number, about, Feedback(tenant="t", event_id=f"f{number}", kind=Regenerate()))


def tell(log: MemoryLog, *numbers: int) -> list[Record]:
    log.append([record_of(EvidenceReference("t", number), "/ledger") for number in numbers]).result()
    return every(log, "evidence")


def every(log: MemoryLog, topic: str) -> list[Record]:
    return [r for part in range(log.partitions(topic)) for r in log.read(topic, part, 0)]


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(ManualClock())


def sources(made: Sequence[NewRecord] | Sequence[Record]) -> list[str]:
    return sorted(event_of(record).source_event_id for record in made)  # type: ignore[arg-type]


def test_references_become_signals_and_what_was_told_twice_is_read_once(log: MemoryLog) -> None:
    """F07: the relay of a ledger that was killed tells again."""
    ledger = Ledger()
    records = tell(log, 1, 2)
    assert sources(SignalStep(ledger, ROWS)([*records, records[0]])) == ["f1", "f2"]
    ((reader, numbers),) = ledger.asked
    assert reader == reader_of(ROWS)
    assert sorted(numbers) == [1, 2]


def test_a_piece_that_was_erased_meanwhile_is_passed_and_counted(log: MemoryLog) -> None:
    """F16: a reference outlives what it was about, and leads nowhere."""
    ledger = Ledger()
    ledger.gone = {2}
    step = SignalStep(ledger, ROWS)
    assert sources(step(tell(log, 1, 2, 3))) == ["f1", "f3"]
    assert step.gone == 1


def test_a_ledger_that_refuses_is_no_fault_of_the_evidence(log: MemoryLog) -> None:
    """Else a wrong token would carry the topic into the dead letters."""
    ledger = Ledger()
    ledger.refuses = PermissionDenied("no")
    with pytest.raises(Unavailable, match="PERMISSION_DENIED"):
        SignalStep(ledger, ROWS)(tell(log, 1))


@pytest.mark.parametrize("refusal", [UnknownEnum("status", 77), BadEncoding("no message")])
def test_a_piece_that_cannot_be_decoded_is_its_own_fault(log: MemoryLog, refusal: RejoinderError) -> None:
    ledger = Ledger()
    ledger.refuses = refusal
    with pytest.raises(type(refusal)):
        SignalStep(ledger, ROWS)(tell(log, 1))


def test_bytes_that_are_no_reference_become_a_dead_letter_and_the_rest_is_read(log: MemoryLog) -> None:
    tell(log, 1, 2, 3)
    log.append([NewRecord("evidence", b"k", b"\xff\xff")]).result()
    stop = StopFlag()

    class Stops(SignalStep):
        def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
            made = super().__call__(records)
            seen.update(event_of(record).number for record in records)
            if seen == {1, 2, 3}:
                stop.ask()
            return made

    seen: set[int] = set()
    step = Stops(Ledger(), ROWS)
    worker = shared_worker(log, step, ROWS, "0", ManualClock(), stop, lambda seconds: None, poll_s=0.0)
    worker.run()
    assert sources(every(log, "signals")) == ["f1", "f2", "f3"]
    assert [event_of(record).value for record in every(log, "deadletters")] == [b"\xff\xff"]


def test_the_slot_is_the_one_set_or_the_pods_ordinal() -> None:
    assert slot_of("a", "signals-2") == "a"
    assert slot_of("", "signals-2") == "2"
    assert slot_of("", "signals-7d4f9c-x2k9z") == "0"
    assert slot_of("", "") == "0"

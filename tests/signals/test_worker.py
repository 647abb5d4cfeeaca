"""signals/worker: everything joined is read once per extractor version, whatever fails in between."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rejoinder.clients.ledger import Evidence as Numbered
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.core.types import Feedback, FollowUp, Interaction, Rating, Reason, Regenerate, Signal
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.worker import Extractor, SignalWorker, reader_of, unread


class FakeLedger:
    """Numbers evidence and keeps cursors, as the ledger does. owns: both."""

    def __init__(self) -> None:
        self.joined: list[Numbered] = []
        self.cursors: dict[str, int] = {}

    def join(self, *kinds: object) -> None:
        for kind in kinds:
            number = len(self.joined) + 1
            about = Interaction(interaction_id=f"i{number}", attempt_id=f"a{number}", response="68 F")
            said = Feedback(tenant="t", event_id=f"f{number}", kind=kind)  # type: ignore[arg-type]
            self.joined.append(Numbered(number, about, said))

    def evidence(self, reader: str, acknowledged: int, limit: int) -> Sequence[Numbered]:
        self.cursors[reader] = max(self.cursors.get(reader, 0), acknowledged)
        return [n for n in self.joined if n.number > self.cursors[reader]][:limit]


class FakeLog:
    """owns: what was published; refuses while `away`."""

    def __init__(self) -> None:
        self.away = False
        self.signals: list[Signal] = []

    def publish(self, signals: Sequence[Signal]) -> None:
        if self.away:
            raise LogUnavailable("away")
        self.signals.extend(signals)


def extractors(*names: str, **params: float) -> list[Extractor]:
    return [Extractor(EXTRACTORS[name], EXTRACTORS[name].with_params(params), Ports()) for name in names]


def test_each_kind_goes_to_the_rows_that_read_it() -> None:
    ledger, log = FakeLedger(), FakeLog()
    ledger.join(Rating(number=5.0, scale_min=1.0, scale_max=5.0), Regenerate(), FollowUp("thanks"))
    assert SignalWorker(ledger, log.publish, extractors("ratings", "actions")).drain() == 3
    assert sorted((s.source_event_id, s.extractor) for s in log.signals) == [("f1", "ratings"), ("f2", "actions")]


def test_a_worker_killed_after_publishing_publishes_the_same_ids_again() -> None:
    """F07: a redelivery makes the same signal, which the ledger keeps once."""
    ledger, log = FakeLedger(), FakeLog()
    ledger.join(Regenerate(), Regenerate())
    SignalWorker(ledger, log.publish, extractors("actions")).turn()
    first = [s.event_id for s in log.signals]
    SignalWorker(ledger, log.publish, extractors("actions")).turn()
    assert [s.event_id for s in log.signals] == first * 2
    assert len(set(first)) == 2


def test_a_log_that_is_away_acknowledges_nothing() -> None:
    ledger, log = FakeLedger(), FakeLog()
    ledger.join(Regenerate())
    worker = SignalWorker(ledger, log.publish, extractors("actions"))
    log.away = True
    with pytest.raises(LogUnavailable):
        worker.turn()
    log.away = False
    assert worker.drain() == 1
    assert len(log.signals) == 1


def test_an_answer_that_comes_late_is_read_when_it_is_joined() -> None:
    """U24: early feedback waits for its answer, then counts."""
    ledger, log = FakeLedger(), FakeLog()
    worker = SignalWorker(ledger, log.publish, extractors("actions"))
    assert worker.drain() == 0
    ledger.join(Regenerate())
    assert worker.drain() == 1
    assert worker.drain() == 0


def test_another_parameter_is_another_reader_and_reads_old_turns_again() -> None:
    """U17: re-run a new version over old turns."""
    ledger, log = FakeLedger(), FakeLog()
    ledger.join(Rating(number=5.0, scale_min=1.0, scale_max=5.0))
    one, other = extractors("ratings"), extractors("ratings", "actions")
    assert reader_of(one) != reader_of(other)
    SignalWorker(ledger, log.publish, one).drain()
    assert SignalWorker(ledger, log.publish, other).drain() == 1


def test_signals_of_unknown_languages_are_counted() -> None:
    marked = Signal(reasons=(Reason(UNKNOWN_LANGUAGE, 1.0),))
    assert unread([marked, Signal(reasons=(Reason("style", 0.9),)), marked, Signal()]) == 2


def test_evidence_without_any_signal_is_passed_once() -> None:
    ledger, log = FakeLedger(), FakeLog()
    ledger.join(FollowUp("thanks"), FollowUp("no"))
    worker = SignalWorker(ledger, log.publish, extractors("actions"), batch=1)
    assert worker.drain() == 2
    assert log.signals == []
    assert worker.drain() == 0

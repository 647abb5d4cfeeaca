"""signals/__main__: a worker of a group counts what it did, ends when told, and ends the process with what ended it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Fenced
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import EvidenceReference, FollowUp, Polarity
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.server import Chassis
from rejoinder.signals.__main__ import COUNTED, AuditMeter, extractors_of, second_of, shared
from rejoinder.signals.settings import AuditTheme, JudgeEndpoint, ReadTheme, SignalsSettings, SourceTheme
from rejoinder.signals.worker import signals_of
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Transaction

from tests.signals.test_step import ROWS, Ledger, every, tell


@pytest.fixture
def chassis() -> Chassis:
    return Chassis("signals", SystemClock(), Metrics(), EventLog(logging.Logger("signals", logging.CRITICAL)))


async def test_it_counts_what_it_did_and_ends_when_told(chassis: Chassis) -> None:
    log, ledger, stop = MemoryLog(SystemClock()), Ledger(), asyncio.Event()
    ledger.gone = {2}
    tell(log, 1, 2, 3)
    running = asyncio.create_task(shared(SignalsSettings(), chassis, ledger, log, ROWS)(stop))  # type: ignore[arg-type]
    while len(every(log, "signals")) < 2:
        await asyncio.sleep(0.01)
    stop.set()
    await running
    assert [chassis.metrics.value(name) for name in COUNTED] == [3, 2, 0, 1, 0]


class Said(Ledger):
    """Its pieces are words."""

    def fetch_evidence(self, reader, references):
        found = super().fetch_evidence(reader, references)
        return [replace(each, feedback=replace(each.feedback, kind=FollowUp("thanks"))) for each in found]


async def test_the_audit_sample_is_read_beside_the_rest_and_counted(chassis: Chassis) -> None:
    second = second_of(AuditTheme(judge="audit-lexicon", share=1.0), chassis)
    log, stop = MemoryLog(SystemClock()), asyncio.Event()
    tell(log, 1, 2)
    reading = shared(SignalsSettings(), chassis, Said(), log, ROWS, second)  # type: ignore[arg-type]
    running = asyncio.create_task(reading(stop))
    while len(every(log, "signals")) < 2:
        await asyncio.sleep(0.01)
    stop.set()
    await running
    assert {event_of(record).extractor for record in every(log, "signals")} == {"audit-lexicon"}
    assert chassis.metrics.value("audit_asked_total") == 2
    assert chassis.metrics.value("audit_unread_total") == 0


def test_a_server_that_is_away_leaves_the_sample_unread_and_says_so_once(chassis: Chassis) -> None:
    endpoint = JudgeEndpoint(url="http://127.0.0.1:1/v1", model="judge")
    second = second_of(AuditTheme(judge="audit-endpoint", share=1.0, endpoint=endpoint), chassis)
    assert second is not None
    pieces = Said().fetch_evidence("r", [EvidenceReference("t", 1), EvidenceReference("t", 2)])
    found = signals_of((), pieces, second)
    assert [signal.polarity for signal in found] == [Polarity.UNSPECIFIED] * 2
    AuditMeter(second, chassis.metrics).tell()
    assert (chassis.metrics.value("audit_asked_total"), chassis.metrics.value("audit_unread_total")) == (2, 2)


def test_without_a_second_judge_nothing_is_sampled(chassis: Chassis) -> None:
    assert second_of(AuditTheme(), chassis) is None


async def test_what_ends_the_worker_ends_the_process(chassis: Chassis) -> None:
    class Taken(MemoryLog):
        def transaction(self, transactional_id: str) -> Transaction:
            raise Fenced("another worker has the slot")

    reading = shared(SignalsSettings(), chassis, Ledger(), Taken(SystemClock()), ROWS)  # type: ignore[arg-type]
    with pytest.raises(Fenced):
        await reading(asyncio.Event())


def test_the_text_model_is_loaded_only_where_a_row_reads_words(tmp_path) -> None:
    read = ReadTheme(extractors=("ratings", "actions"), model=tmp_path / "nothing")
    assert [row.row.name for row in extractors_of(read)] == ["ratings", "actions"]


@pytest.mark.parametrize("slot", ["a b", "signals:1", "../0", "x" * 201])
def test_a_slot_that_is_no_members_name_is_refused_at_the_start(slot: str) -> None:
    """The library refuses it too, but as what passes by itself: the worker would wait for brokers that are there."""
    with pytest.raises(ValueError, match="slot"):
        SourceTheme(slot=slot)

"""One tenant's quota over two ingest processes on Kafka (F15, U19): together they let no more pass than one would, and
what is sent again because an answer was lost is not refused."""

from __future__ import annotations

import itertools
import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from rejoinder.clients import FeedbackClient
from rejoinder.core.errors import Quota
from rejoinder.core.types import Click, Feedback, RecordOutcome
from rejoinder.stream.headers import event_of

from tests.brokers import shared
from tests.patient import Patient
from tests.system.kafka.test_services import kafka
from tests.system.kafka.test_signals import running
from tests.system.kafka.world import opened, settings
from tests.system.logs import everything

pytestmark = pytest.mark.system

#: Tokens of the tenant; in the minutes of a test nothing is added to them.
BURST = 10
QUOTA = {"acme": {"events_per_s": 0.0001, "burst_s": BURST / 0.0001}}


def click(number: int) -> Feedback:
    return Feedback(tenant="acme", event_id=f"f{number}", interaction_id="i", kind=Click("c", 1))


def recorded(client: FeedbackClient, event: Feedback) -> bool:
    """False where it is refused for the tenant's quota."""
    try:
        (result,) = client.record_feedback([event])
    except Quota:
        return False
    return result.outcome is RecordOutcome.RECORDED


def test_two_processes_keep_to_a_quota_together_and_a_retry_is_neither_refused_nor_charged(tmp_path: Path) -> None:
    of = settings(shared(), partitions=1)
    told = {**kafka(of, "LOG"), "LOG__KIND": "kafka", "PROCESSES": "2", "QUOTA__TENANTS": json.dumps(QUOTA)}
    numbers = itertools.count()
    with ExitStack() as closing:
        taken: list[list[Feedback]] = []
        clients = []
        for name in ("a", "b"):
            process = closing.enter_context(running(tmp_path / name, "feedback", told))
            clients.append(FeedbackClient(Patient(f"127.0.0.1:{process.port}", tries=1)))
            closing.callback(clients[-1].close)
        for client in clients:
            taken.append([])
            while recorded(client, event := click(next(numbers))):
                taken[-1].append(event)
        assert [len(events) for events in taken] == [BURST // 2, BURST // 2]
        for client, events in zip(clients, taken, strict=True):
            for event in events:
                (again,) = client.record_feedback([event])
                assert again.outcome is RecordOutcome.DUPLICATE
            # Only the process that let it in knows of it; another takes it for new.
        with pytest.raises(Quota):
            clients[0].record_feedback(taken[1])
        log = closing.enter_context(opened(of))
        lying = sorted(event_of(record).event_id for record in everything(log))
    assert lying == sorted(event.event_id for events in taken for event in events)

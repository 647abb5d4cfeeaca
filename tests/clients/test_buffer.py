from __future__ import annotations

import threading

import pytest
from rejoinder.clients import BufferCounts, InteractionBuffer
from rejoinder.clients.feedback import RecordResult
from rejoinder.core.errors import LogUnavailable, Quota
from rejoinder.core.types import Interaction, RecordOutcome

from tests.chaos.harness import wait_until

#: Of waits that end with what they wait for.
WAIT_S = 60.0


class Recorder:
    """A client whose service can be away, held up, or pick out faulty events. owns: what it has recorded."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.away = False
        self.held = threading.Event()
        self.held.set()
        self.asked = threading.Event()

    def record_interactions(self, events: list[Interaction]) -> list[RecordResult]:
        self.asked.set()
        self.held.wait()
        if self.away:
            raise LogUnavailable("away")
        good = [event.user_id != "faulty" for event in events]
        self.ids += [event.event_id for event, ok in zip(events, good, strict=True) if ok]
        outcomes = [RecordOutcome.RECORDED if ok else RecordOutcome.REJECTED for ok in good]
        return [RecordResult(e.event_id, "", o, "", "", None) for e, o in zip(events, outcomes, strict=True)]


def settled(buffer: InteractionBuffer) -> BufferCounts:
    wait_until(lambda: not buffer.counts().waiting, "the end of what waits")
    return buffer.counts()


def test_what_is_offered_is_recorded_once_and_counted() -> None:
    service = Recorder()
    buffer = InteractionBuffer(service, batch=3)
    assert all(buffer.offer(Interaction(event_id=f"e{n}")) for n in range(10))
    buffer.offer(Interaction(user_id="faulty"))
    counts = buffer.close(WAIT_S)
    assert service.ids == [f"e{n}" for n in range(10)]
    assert counts == BufferCounts(offered=11, recorded=10, rejected=1)


def test_what_was_over_a_quota_is_sent_again_and_counts_as_no_faulty_one() -> None:
    class Limited(Recorder):
        def record_interactions(self, events: list[Interaction]) -> list[RecordResult]:
            return [*super().record_interactions(events[:2]), *(over(event.event_id) for event in events[2:])]

    def over(event_id: str) -> RecordResult:
        return RecordResult(event_id, "", RecordOutcome.REJECTED, "QUOTA", "", None)

    service = Limited()
    service.held.clear()
    buffer = InteractionBuffer(service, batch=5, pause_s=0.01)
    for n in range(5):
        buffer.offer(Interaction(event_id=f"e{n}"))
    service.held.set()
    counts = buffer.close(WAIT_S)
    assert sorted(service.ids) == [f"e{n}" for n in range(5)]
    assert (counts.recorded, counts.rejected, counts.dropped) == (5, 0, 0)


def test_u19_a_tenant_over_its_quota_holds_up_nobody_behind_it() -> None:
    class Limited(Recorder):
        def record_interactions(self, events: list[Interaction]) -> list[RecordResult]:
            if {event.tenant for event in events} == {"over"}:
                self.asked.set()
                self.held.wait()
                raise Quota("over a quota", retry_after_s=60.0)
            results = super().record_interactions(events)
            through.set()
            return results

    through = threading.Event()
    service = Limited()
    service.held.clear()
    buffer = InteractionBuffer(service, batch=5, pause_s=0.01)
    # The first goes alone, whenever the thread wakes; then two batches of its tenant, and one of the other's.
    buffer.offer(Interaction(tenant="over", event_id="o0"))
    assert service.asked.wait(WAIT_S)
    for n in range(1, 11):
        buffer.offer(Interaction(tenant="over", event_id=f"o{n}"))
    for n in range(5):
        buffer.offer(Interaction(tenant="other", event_id=f"e{n}"))
    service.held.set()
    assert through.wait(WAIT_S)
    buffer.close(timeout_s=0.0)
    assert service.ids == [f"e{n}" for n in range(5)]


def test_a_full_buffer_drops_and_counts_and_never_blocks() -> None:
    service = Recorder()
    service.held.clear()
    buffer = InteractionBuffer(service, max_events=5)
    # The service answers nobody until it is let go below: an offer that waited for it would never return.
    taken = [buffer.offer(Interaction()) for _ in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert buffer.counts().dropped == 3
    service.held.set()
    assert settled(buffer) == BufferCounts(offered=8, recorded=5, dropped=3)
    assert buffer.offer(Interaction())
    buffer.close()


def test_a_service_that_was_away_gets_the_same_ids_in_order_when_it_is_back() -> None:
    service = Recorder()
    service.away = True
    buffer = InteractionBuffer(service, pause_s=0.01)
    for n in range(3):
        buffer.offer(Interaction(event_id=f"e{n}"))
    wait_until(lambda: buffer.counts().failed >= 2, "two failed requests")
    service.away = False
    counts = settled(buffer)
    assert service.ids == ["e0", "e1", "e2"]
    assert (counts.recorded, counts.dropped) == (3, 0)
    assert counts.failed >= 2
    buffer.close()


@pytest.mark.parametrize("held", [True, False], ids=["held up", "away"])
def test_a_close_waits_no_longer_than_told_and_counts_what_it_leaves(held: bool) -> None:
    service = Recorder()
    service.away = True
    if held:
        service.held.clear()
    # A close that waited for either would never return.
    buffer = InteractionBuffer(service, batch=2, pause_s=3600.0)
    for _ in range(5):
        buffer.offer(Interaction())
    assert service.asked.wait(WAIT_S)
    buffer.close(timeout_s=0.1)
    service.held.set()
    counts = settled(buffer)
    assert (counts.offered, counts.recorded, counts.dropped, counts.waiting) == (5, 0, 5, 0)
    assert not buffer.offer(Interaction())

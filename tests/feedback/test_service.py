from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import FailedPrecondition, Fenced, TooLong
from rejoinder.core.metrics import Metrics
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.service import FeedbackService
from rejoinder.feedback.settings import LimitSettings
from rejoinder.runtime.call import Call
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.v1 import error_reason_pb2, feedback_pb2

CALL = Call.local()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    out = SqliteLog(str(tmp_path / "log.db"), LogSettings(), ManualClock())
    yield out
    out.close()


def service_of(log: SqliteLog | MemoryLog) -> FeedbackService:
    ingest = Ingest(log, LimitSettings(), 40 * 86_400.0, ManualClock(), Metrics())
    return FeedbackService(ingest, log if isinstance(log, SqliteLog) else None)


async def test_results_say_outcome_reason_field_and_place(log: SqliteLog) -> None:
    request = feedback_pb2.RecordFeedbackRequest()
    request.events.add(event_id="a", click={"candidate_id": "c", "position": 1})
    request.events.add(event_id="b")
    request.events.add(event_id="c", consent=99)
    good, empty, unknown = (await service_of(log).RecordFeedback(request, CALL)).results
    assert good.outcome == feedback_pb2.RECORD_OUTCOME_RECORDED
    assert (good.coordinate.topic, good.coordinate.offset) == ("feedback", 0)
    assert (empty.reason, empty.field) == (error_reason_pb2.ERROR_REASON_EMPTY_FIELD, "kind")
    assert not empty.HasField("coordinate")
    assert (unknown.event_id, unknown.reason) == ("c", error_reason_pb2.ERROR_REASON_UNKNOWN_ENUM)


async def test_an_item_of_too_many_parts_is_refused_alone(log: SqliteLog) -> None:
    request = feedback_pb2.RecordInteractionsRequest()
    request.events.add(event_id="long", messages=[{"role": "ROLE_USER", "content": "x"}] * 2001)
    request.events.add(event_id="good", messages=[{"role": "ROLE_USER", "content": "x"}] * 2000)
    long, good = (await service_of(log).RecordInteractions(request, CALL)).results
    assert (long.event_id, long.reason, long.field) == ("long", error_reason_pb2.ERROR_REASON_TOO_LONG, "messages")
    assert good.outcome == feedback_pb2.RECORD_OUTCOME_RECORDED


async def test_an_interaction_is_answered_with_its_id(log: SqliteLog) -> None:
    request = feedback_pb2.RecordInteractionsRequest()
    request.events.add(messages=[{"role": "ROLE_USER", "content": "How warm?"}], response="70 °F")
    (result,) = (await service_of(log).RecordInteractions(request, CALL)).results
    assert result.interaction_id == result.event_id != ""


async def test_a_step_moves_records_and_positions_together_and_an_older_epoch_is_fenced(log: SqliteLog) -> None:
    service = service_of(log)
    begin = feedback_pb2.BeginEpochRequest(transactional_id="signals-0")
    old = (await service.BeginEpoch(begin, CALL)).epoch
    new = (await service.BeginEpoch(begin, CALL)).epoch
    assert new == old + 1
    step = feedback_pb2.CommitStepRequest(transactional_id="signals-0", epoch=old, group="signals")
    step.records.add(topic="signals", key=b"k", value=b"v", headers=[{"name": "ce_id", "value": b"s1"}])
    step.offsets.add(topic="feedback", partition=0, offset=7)
    with pytest.raises(Fenced):
        await service.CommitStep(step, CALL)
    assert sum(log.end_offsets("signals").values()) == 0
    step.epoch = new
    (place,) = (await service.CommitStep(step, CALL)).coordinates
    assert log.read("signals", place.partition, 0)[0].headers == (("ce_id", b"s1"),)
    assert log.committed("signals", [("feedback", 0)]) == {("feedback", 0): 7}


async def test_a_log_without_followers_says_so() -> None:
    with pytest.raises(FailedPrecondition):
        await service_of(MemoryLog(ManualClock())).BeginEpoch(feedback_pb2.BeginEpochRequest(), CALL)


@pytest.mark.parametrize(
    "long",
    [
        {"transactional_id": "x" * 257},
        {"group": "x" * 70_000},
        {"records": [{"topic": "x" * 70_000}]},
        {"offsets": [{"topic": "x" * 70_000}]},
    ],
)
async def test_a_name_longer_than_an_error_can_carry_is_too_long(log: SqliteLog, long: dict[str, object]) -> None:
    with pytest.raises(TooLong):
        await service_of(log).CommitStep(feedback_pb2.CommitStepRequest(**long), CALL)


async def test_an_epoch_of_a_name_too_long_is_not_begun(log: SqliteLog) -> None:
    with pytest.raises(TooLong):
        await service_of(log).BeginEpoch(feedback_pb2.BeginEpochRequest(transactional_id="x" * 257), CALL)

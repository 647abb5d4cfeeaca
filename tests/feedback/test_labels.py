"""feedback/labels: what a label must be, whose signal it becomes, and that a form sent twice is one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import decode
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Label, Polarity, Reason, RecordOutcome, Signal
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.labels import check_label, signal_of
from rejoinder.feedback.settings import LimitSettings
from rejoinder.runtime.call import Call, Principal
from rejoinder.stream.memory import MemoryLog

GOOD = Label(
    event_id="l1",
    source_event_id="f1",
    interaction_id="i1",
    attempt_id="a1",
    user_id="u1",
    polarity=Polarity.DSAT,
    reasons=(Reason("style", start=0, end=3),),
)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_event_id": ""}, "source_event_id"),
        ({"interaction_id": ""}, "interaction_id"),
        ({"polarity": Polarity.UNSPECIFIED}, "polarity"),
        ({"polarity": Polarity.SAT}, "reasons.rubric"),
        ({"reasons": (Reason("no such reason"),)}, "reasons.rubric"),
        ({"reasons": (Reason("style", start=3, end=2),)}, "reasons.start"),
        ({"reasons": (Reason("style", start=-1, end=2),)}, "reasons.start"),
        ({"reasons": (Reason("style"),) * 99}, "reasons"),
        ({"user_id": "a\nb"}, "user_id"),
        ({"event_id": "somebody/else"}, "event_id"),
        ({"source_event_id": "x" * 300}, "source_event_id"),
    ],
)
def test_a_label_that_is_none_is_refused_with_its_field(changes: dict, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_label(replace(GOOD, **changes))
    assert refused.value.metadata["field"] == field


def test_the_signal_says_who_spoke_and_two_people_s_labels_are_two() -> None:
    one, same, other = signal_of(GOOD, "ann", 1.0), signal_of(GOOD, "ann", 2.0), signal_of(GOOD, "odo", 1.0)
    assert (one.extractor, one.extractor_version) == ("human", "ann/l1")
    assert one.strength < 0 < one.confidence < 1
    assert one.event_id == same.event_id != other.event_id
    assert signal_of(replace(GOOD, polarity=Polarity.NONE, reasons=()), "ann", 1.0).strength == 0.0


async def test_items_stand_alone_and_the_log_has_the_good_ones_under_the_caller_s_name() -> None:
    clock = ManualClock()
    log = MemoryLog(clock)
    ingest = Ingest(log, LimitSettings(), 40 * 86_400.0, clock, Metrics())
    call = Call(caller=Principal("ann", frozenset({"admin"})))
    bad = replace(GOOD, event_id="l2", source_event_id="")
    good, refused = await ingest.record_labels([("l1", GOOD), ("l2", bad)], call)
    assert (good.outcome, refused.outcome) == (RecordOutcome.RECORDED, RecordOutcome.REJECTED)
    assert (refused.event_id, refused.reason, refused.field) == ("l2", "EMPTY_FIELD", "source_event_id")
    records = [
        record for part in log.end_offsets("signals") for record in log.read("signals", part, 0) if record is not None
    ]
    (signal,) = [decode(record.value, Signal) for record in records]
    assert signal.extractor_version == "ann/l1"
    assert signal.event_id == good.event_id


async def test_a_form_sent_twice_is_one_label_and_another_word_under_its_name_is_none() -> None:
    clock = ManualClock()
    ingest = Ingest(MemoryLog(clock), LimitSettings(), 40 * 86_400.0, clock, Metrics())
    call = Call(caller=Principal("ann", frozenset({"admin"})))
    outcomes = []
    for label in (GOOD, GOOD, replace(GOOD, polarity=Polarity.NONE, reasons=())):
        (result,) = await ingest.record_labels([("l1", label)], call)
        outcomes.append((result.outcome, result.reason))
        clock.advance(5.0)
    assert outcomes == [
        (RecordOutcome.RECORDED, ""),
        (RecordOutcome.DUPLICATE, ""),
        (RecordOutcome.REJECTED, "EVENT_ID_CONFLICT"),
    ]

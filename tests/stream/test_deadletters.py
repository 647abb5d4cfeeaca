"""stream/deadletters: nothing is lost, nothing is told twice, and what was erased stays erased."""

from __future__ import annotations

import pytest
from rejoinder.core import codec, types
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.ids import subject_of
from rejoinder.stream.deadletters import DeadLetters, Replayed, coordinate_of, erased_until, letters, replay
from rejoinder.stream.headers import event_of, parsed, record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import NewRecord, Record
from rejoinder.stream.topics import OwnTopics, own_name, with_own

KEY = b"deployment key"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(clock: ManualClock) -> MemoryLog:
    return MemoryLog(clock)


@pytest.fixture
def dead(clock: ManualClock) -> DeadLetters:
    return DeadLetters(KEY, clock, "/rejoinder/test")


def every(log: MemoryLog, topic: str) -> list[Record]:
    return [r for p in range(log.partitions(topic)) for r in log.read(topic, p, 0)]


def said(log: MemoryLog, event_id: str, user: str = "u1") -> Record:
    """A feedback event as it lies on the log."""
    event = types.Feedback(
        tenant="acme",
        event_id=event_id,
        conversation_id="c",
        user_id=user,
        accepted_at=1_700_000_000.0,
        kind=types.FollowUp("words"),
    )
    (appended,) = log.append([record_of(event, "/app", TRACE)]).result()
    at = appended.coordinate
    return log.read(at.topic, at.partition, at.offset, 1)[0]


def test_a_dead_letter_names_reason_source_and_subject(log: MemoryLog, dead: DeadLetters) -> None:
    record = said(log, "e1")
    new = dead.record(record, "EVENT_ID_CONFLICT", types.Coordinate("feedback", 0, 7))
    log.append([new]).result()
    (lying,) = every(log, "deadletters")
    letter = event_of(lying)
    assert (letter.reason, letter.tenant, letter.value) == ("EVENT_ID_CONFLICT", "acme", record.value)
    assert (letter.source, letter.other) == (record.coordinate, types.Coordinate("feedback", 0, 7))
    assert letter.subject == subject_of(KEY, "acme", "u1")
    assert lying.key == record.key
    assert parsed(lying.headers).traceparent == TRACE


def test_a_redelivery_makes_the_same_dead_letter(log: MemoryLog, dead: DeadLetters, clock: ManualClock) -> None:
    record = said(log, "e1")
    first = dead.record(record, "EXPIRED")
    clock.advance(100)
    again = dead.record(record, "EXPIRED")
    assert first.identity == again.identity
    assert dead.record(record, "UNREADABLE").identity != first.identity
    assert [a.outcome for a in log.append([first, again]).result()] == ["recorded", "duplicate"]


def test_bytes_that_nobody_can_read_are_kept_with_no_subject(log: MemoryLog, dead: DeadLetters) -> None:
    log.append([NewRecord("feedback", b"k", b"\xff\xff")]).result()
    (record,) = every(log, "feedback")
    log.append([dead.record(record, "UNREADABLE")]).result()
    letter = event_of(every(log, "deadletters")[0])
    assert (letter.value, letter.subject, letter.tenant) == (b"\xff\xff", "", "")


def test_a_replay_puts_the_original_back_once(log: MemoryLog, dead: DeadLetters) -> None:
    records = [said(log, "e1"), said(log, "e2")]
    log.append([dead.record(records[0], "INTERNAL"), dead.record(records[1], "EXPIRED")]).result()
    assert replay(log, {"INTERNAL"}, "/rejoinder/cli") == Replayed(put_back=1)
    assert replay(log, {"INTERNAL"}, "/rejoinder/cli") == Replayed(before=1)
    lying = every(log, "feedback")
    assert [event_of(r).event_id for r in lying] == ["e1", "e2", "e1"]
    assert (lying[2].value, lying[2].key) == (records[0].value, records[0].key)
    assert parsed(lying[2].headers).id == "e1"


def test_a_replay_may_be_kept_to_one_tenant(log: MemoryLog, dead: DeadLetters) -> None:
    log.append([dead.record(said(log, "e1"), "INTERNAL")]).result()
    assert replay(log, {"INTERNAL"}, "/s", tenant="other") == Replayed()
    assert replay(log, {"INTERNAL"}, "/s", tenant="acme") == Replayed(put_back=1)


def test_what_an_erased_user_said_before_is_not_put_back(log: MemoryLog, dead: DeadLetters) -> None:
    """F16: the erasure counts from when the event was accepted, and only for its user."""
    log.append([dead.record(said(log, "e1", "gone"), "INTERNAL")]).result()
    log.append([dead.record(said(log, "e2", "here"), "INTERNAL")]).result()
    log.append([dead.record(said(log, "e3", "early"), "INTERNAL")]).result()
    for user, erased_at in (("gone", 1_699_999_990.0), ("early", 1_699_999_000.0)):
        erasure = types.Erasure(subject_of(KEY, "acme", user), f"ticket-{user}", erased_at, grace=60.0)
        log.append([record_of(erasure, "/s")]).result()
    assert erased_until(log)[subject_of(KEY, "acme", "gone")] == 1_700_000_050.0
    assert replay(log, {"INTERNAL"}, "/s") == Replayed(put_back=2, erased=1)
    assert [event_of(r).user_id for r in every(log, "feedback")][3:] == ["here", "early"]


def test_what_was_put_back_and_fails_again_is_the_same_dead_letter(log: MemoryLog, dead: DeadLetters) -> None:
    """Else every replay of what is still broken would double what there is to replay."""
    first = dead.record(said(log, "e1"), "INTERNAL")
    log.append([first]).result()
    replay(log, {"INTERNAL"}, "/s")
    again = dead.record(every(log, "feedback")[-1], "INTERNAL")
    assert again.identity == first.identity
    assert dead.record(every(log, "feedback")[-1], "EXPIRED").identity != first.identity
    assert len(list(letters(log))) == 1


def test_a_header_that_names_no_place_is_not_believed(log: MemoryLog, dead: DeadLetters) -> None:
    log.append([NewRecord("feedback", b"k", b"v", (("ce_origin", b"\xff"),))]).result()
    (record,) = every(log, "feedback")
    log.append([dead.record(record, "UNREADABLE")]).result()
    ((_, letter),) = letters(log)
    assert letter.source == record.coordinate


def test_one_record_may_be_put_back_by_its_place(log: MemoryLog, dead: DeadLetters) -> None:
    records = [said(log, "e1"), said(log, "e2")]
    log.append([dead.record(record, "INTERNAL") for record in records]).result()
    assert replay(log, (), "/s", at=records[1].coordinate) == Replayed(put_back=1)
    assert [event_of(record).event_id for record in every(log, "feedback")] == ["e1", "e2", "e2"]


def test_letters_are_listed_by_reason_and_tenant(log: MemoryLog, dead: DeadLetters) -> None:
    log.append([dead.record(said(log, "e1"), "INTERNAL"), dead.record(said(log, "e2"), "EXPIRED")]).result()
    log.append([NewRecord("deadletters", b"k", b"\xff\xff")]).result()
    assert [letter.reason for _, letter in letters(log)] == ["INTERNAL", "EXPIRED"]
    assert [letter.reason for _, letter in letters(log, {"EXPIRED"})] == ["EXPIRED"]
    assert list(letters(log, tenant="other")) == []


@pytest.mark.parametrize("text", ["", "evidence", "evidence/1", "evidence/a/1", "nothing/1/2", "evidence/1/2/3"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        coordinate_of(text)


def test_what_a_tenant_wrote_for_another_is_not_put_back_among_the_others(
    dead: DeadLetters, clock: ManualClock
) -> None:
    """Its own topics are closed, so what was on them goes to the shared ones, where a name is believed."""
    log = MemoryLog(clock, 1, topics=with_own({"own": OwnTopics(closed=True)}))
    forged, mine = (types.Feedback(event_id=f"e-{t}", tenant=t, kind=types.Comment("x")) for t in ("acme", "own"))
    for offset, event in enumerate((forged, mine)):
        lay = Record("feedback@own", 0, offset, b"k", codec.encode(event), (), 1_700_000_000.0)
        log.append([dead.record(lay, "INTERNAL")]).result()
    assert replay(log, {"INTERNAL"}, "/s") == Replayed(put_back=1, foreign=1)
    assert [event_of(record).tenant for record in every(log, "feedback")] == ["own"]


def test_the_longest_name_of_a_topic_is_a_place() -> None:
    topic = own_name("feedback", "t" * 216)
    assert coordinate_of(f"{topic}/3/1071") == types.Coordinate(topic, 3, 1071)

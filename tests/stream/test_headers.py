"""stream/headers: CloudEvents headers, ordering keys and identities."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core import arms, codec, types
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadEncoding, EmptyField
from rejoinder.stream.headers import KINDS, Envelope, event_of, key_of, made, parsed, record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.topics import TOPICS

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVENTS = (
    types.Interaction(tenant="acme", event_id="e1", interaction_id="i1", occurred_at=1_700_000_000.25),
    types.Feedback(tenant="acme", event_id="e2", interaction_id="i1", kind=types.FollowUp("no, in Celsius")),
    types.Signal(tenant="acme", event_id="e3", interaction_id="i1", source_event_id="e2"),
    types.RoundEvent(tenant="acme", event_id="e4", policy="assist", number=1),
    types.Erasure(subject="f00", ticket="t1", erased_at=1_700_000_000.0),
    arms.ArmsTable("assist", 3, 7, 1_700_000_000.5, stable=arms.Version("r1", "d1")),
    types.DeadLetter(event_id="e5", tenant="acme", reason="UNREADABLE", accepted_at=1_700_000_001.0),
)


def test_headers_say_what_the_binding_asks_for() -> None:
    """CloudEvents Kafka protocol binding 1.0.2, section 3.2: attributes as ce_<name>, the media type beside them."""
    headers = dict(made(Envelope("e1", "dev.rejoinder.feedback.v1", "/rejoinder/feedback", 1_700_000_000.25, TRACE)))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"e1",
        "ce_type": b"dev.rejoinder.feedback.v1",
        "ce_source": b"/rejoinder/feedback",
        "ce_time": b"2023-11-14T22:13:20.250000Z",
        "content-type": b"application/protobuf",
        "traceparent": TRACE.encode(),
    }


@pytest.mark.parametrize("time", [None, 0.0, 1_700_000_000.25])
@pytest.mark.parametrize("trace", ["", TRACE])
def test_an_envelope_survives_its_headers(time: float | None, trace: str) -> None:
    envelope = Envelope("ïd", "dev.rejoinder.feedback.v1", "/rejoinder/feedback", time, trace)
    assert parsed(made(envelope)) == envelope


def test_a_traceparent_that_is_none_is_not_passed_on() -> None:
    assert "traceparent" not in dict(made(Envelope("e", "t", "/s", traceparent="00-please-log-this-01")))
    assert parsed([*made(Envelope("e", "t", "/s")), ("traceparent", b"rubbish")]).traceparent == ""


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [("ce_id", b"\xff")],
        [("ce_specversion", b"1.0"), ("ce_id", b"e"), ("ce_type", b"t")],
        [("ce_specversion", b"0.3"), ("ce_id", b"e"), ("ce_type", b"t"), ("ce_source", b"/s")],
        [*made(Envelope("e", "t", "/s")), ("ce_time", b"yesterday")],
    ],
)
def test_headers_that_are_no_cloud_event_are_refused(wrong: list[tuple[str, bytes]]) -> None:
    with pytest.raises(BadEncoding):
        parsed(wrong)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_lies_on_its_topic_and_is_read_back(event: object) -> None:
    log = MemoryLog(ManualClock())
    new = record_of(event, "/rejoinder/test", TRACE)
    (appended,) = log.append([new]).result()
    (record,) = log.read(appended.coordinate.topic, appended.coordinate.partition, 0)
    assert event_of(record) == event
    assert TOPICS[new.topic].value is type(event)
    assert new.identity is not None
    assert new.identity.body_digest == codec.body_digest(event)
    assert parsed(record.headers).id == new.identity.event_id
    assert parsed(record.headers).traceparent == TRACE


def test_every_topic_of_events_has_its_kind() -> None:
    assert {kind.topic: cls for cls, kind in KINDS.items()} == {t.name: t.value for t in TOPICS.values() if t.value}


def test_turns_of_one_conversation_share_a_key_and_others_do_not() -> None:
    turn = types.Interaction(tenant="acme", event_id="e1", interaction_id="i1", conversation_id="c")
    about = types.Feedback(tenant="acme", event_id="e2", interaction_id="i1", conversation_id="c")
    assert key_of(turn) == key_of(about) == key_of(replace(turn, interaction_id="i2"))
    assert key_of(turn) != key_of(replace(turn, tenant="other"))
    assert key_of(replace(turn, conversation_id="")) != key_of(turn)
    assert key_of(replace(turn, conversation_id="")) == key_of(replace(about, conversation_id=""))
    assert key_of(replace(turn, conversation_id="", interaction_id="c")) != key_of(turn)
    assert key_of(replace(turn, tenant="")) == key_of(replace(turn, tenant="default"))


def test_a_policys_table_is_keyed_by_its_plain_name_so_that_compaction_keeps_the_last() -> None:
    table = arms.ArmsTable("assist", 3, 7, stable=arms.Version("r1", "d1"))
    assert key_of(table) == key_of(replace(table, generation=8, term=4)) == b"assist"


def test_erasures_are_keyed_by_subject_alone() -> None:
    one = types.Erasure(subject="f00", ticket="t1")
    assert key_of(one) == key_of(replace(one, ticket="t2")) != key_of(replace(one, subject="f01"))


def test_what_a_service_stamps_makes_no_other_identity() -> None:
    event = EVENTS[1]
    stamped = replace(event, accepted_at=1.0, principal="app")
    assert record_of(event, "/s").identity == record_of(stamped, "/s").identity
    other = replace(event, kind=types.FollowUp("thanks"))
    assert record_of(event, "/s").identity != record_of(other, "/s").identity


def test_an_event_without_an_id_makes_no_record() -> None:
    with pytest.raises(EmptyField):
        record_of(types.Feedback(tenant="acme"), "/s")
    with pytest.raises(EmptyField):
        record_of(types.Erasure(subject="f00"), "/s")

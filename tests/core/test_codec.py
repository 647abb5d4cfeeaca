"""core/codec: what goes in comes out, and what a service stamps is no part of an event's identity."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core import arms, codec, types
from rejoinder.core.errors import BadEncoding, UnknownEnum
from rejoinder.v1 import events_pb2

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
moments = st.integers(0, 4_000_000_000_000_000).map(lambda micros: micros / 1_000_000)
finite = st.floats(-1e6, 1e6)
kinds = st.one_of(
    st.builds(types.FollowUp, text),
    st.builds(types.Rating, name=text, number=finite, scale_min=finite, scale_max=finite),
    st.builds(types.Rating, name=text, category=text, categories=st.tuples(text, text)),
    st.builds(types.Comment, text),
    st.builds(types.Edit, text),
    st.builds(types.Comparison, text, text, st.sampled_from(types.Choice)),
    st.builds(types.Click, text, st.integers(0, 1000)),
    st.builds(types.Copy, st.integers(0, 1000)),
    st.builds(types.Regenerate, text),
    st.builds(types.Abandon, st.none() | st.integers(0, 10**9).map(lambda m: m / 1_000_000)),
    st.builds(types.Outcome, text, finite),
)
feedback = st.builds(
    types.Feedback,
    tenant=text,
    event_id=text,
    interaction_id=text,
    turn=st.integers(0, 99),
    user_id=text,
    principal=text,
    occurred_at=st.none() | moments,
    accepted_at=st.none() | moments,
    consent=st.sampled_from(types.Consent),
    kind=kinds,
)


@given(feedback)
@settings(max_examples=200, deadline=None)
def test_feedback_survives_the_log(event: types.Feedback) -> None:
    assert codec.decode(codec.encode(event), types.Feedback) == event


@given(feedback)
@settings(max_examples=100, deadline=None)
def test_the_digest_ignores_what_a_service_stamps_and_nothing_else(event: types.Feedback) -> None:
    stamped = replace(event, accepted_at=1.0, principal="someone")
    assert codec.body_digest(stamped) == codec.body_digest(event)
    assert codec.body_digest(replace(event, turn=event.turn + 1)) != codec.body_digest(event)


def test_every_dataclass_has_exactly_the_fields_of_its_message() -> None:
    for cls, message in codec.MESSAGES.items():
        ours = {f.name for f in dataclasses.fields(cls)} - {"kind"}
        theirs = {f.name for f in message.DESCRIPTOR.fields}
        if cls is types.Feedback:
            theirs -= set(types.KINDS)
        assert ours == theirs, cls.__name__


def test_every_enum_has_exactly_the_values_of_its_proto() -> None:
    message = events_pb2.Interaction.DESCRIPTOR.fields_by_name["status"].enum_type
    assert {v.name.removeprefix("ATTEMPT_STATUS_") for v in message.values} == {s.value for s in types.AttemptStatus}


def test_an_interaction_with_every_part_survives_the_log() -> None:
    event = types.Interaction(
        tenant="t",
        event_id="e",
        interaction_id="i",
        attempt_id="a",
        messages=(types.Message(types.Role.USER, "How warm?"),),
        response="20 C",
        served=types.Served(
            policy="assist", version="assist-r0001", arm=types.ArmKind.CANARY, propensity=0.1, forced=True
        ),
        status=types.AttemptStatus.COMPLETED,
        latency=0.25,
        sampling=types.Sampling(temperature=1.0, stop=("\n",)),
        ranking=types.Ranking("q", (types.RankedCandidate("c", "text", 0.5, 1, 1.0),)),
        sealed=b"\x00\xff",
    )
    assert codec.decode(codec.encode(event), types.Interaction) == event


def test_an_arms_table_survives_the_log() -> None:
    table = arms.ArmsTable(
        policy="assist",
        term=3,
        generation=7,
        written_at=1_700_000_000.25,
        stable=arms.Version("assist-r0001", "d1"),
        canary=arms.Version("assist-r0002", "d2"),
        steps=(arms.Step(0.05, 1_700_000_000.0), arms.Step(0.2, 1_700_000_100.5)),
        lease=arms.Lease(30.0, 1_700_000_100.5, 1_700_000_130.5),
    )
    assert codec.decode(codec.encode(table), arms.ArmsTable) == table


def test_bytes_that_are_no_message_are_refused_without_quoting_them() -> None:
    with pytest.raises(BadEncoding) as caught:
        codec.decode(b"\xff\xffsecret words", types.Feedback)
    assert "secret" not in str(caught.value)


def test_an_enum_value_of_a_later_version_is_named_not_guessed() -> None:
    message = events_pb2.Feedback(event_id="e")
    message.consent = 99
    with pytest.raises(UnknownEnum):
        codec.from_proto(message, types.Feedback)


@pytest.mark.parametrize("seconds", [10**15, -(10**15)])
def test_a_time_beyond_all_years_is_bad_encoding_and_names_its_field(seconds: int) -> None:
    message = events_pb2.Feedback(event_id="e")
    message.occurred_at.seconds = seconds
    with pytest.raises(BadEncoding) as caught:
        codec.decode(message.SerializeToString(), types.Feedback)
    assert caught.value.metadata["field"] == "occurred_at"


def test_a_rating_of_zero_is_not_an_unset_rating() -> None:
    """F08: missing is not zero."""
    zero = types.Feedback(event_id="e", kind=types.Rating(number=0.0, scale_max=5.0))
    unset = types.Feedback(event_id="e", kind=types.Rating(scale_max=5.0))
    assert codec.decode(codec.encode(zero), types.Feedback) == zero
    assert codec.body_digest(zero) != codec.body_digest(unset)

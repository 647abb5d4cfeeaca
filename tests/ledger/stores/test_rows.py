"""ledger/rows: a row gives back the event it was made of, and its words lie in columns of their own (U11)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core import codec, types
from rejoinder.core.ids import digest_of
from rejoinder.ledger.stores.rows import WORDS, arrive, arrived_of, to_body, to_event, to_row
from rejoinder.stream.port import Record

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
#: What an index takes: a record whose names hold a control character is no event.
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
moments = st.none() | st.integers(1, 4 * 10**15).map(lambda micros: micros / 1_000_000)
interactions = st.builds(
    types.Interaction,
    tenant=st.sampled_from(["t", "default"]),
    event_id=st.just("e"),
    interaction_id=st.just("x"),
    conversation_id=names,
    turn=st.integers(0, 9),
    user_id=text,
    principal=names,
    messages=st.lists(st.builds(types.Message, st.sampled_from(types.Role), text), max_size=3).map(tuple),
    response=text,
    served=st.none() | st.builds(types.Served, text, text, bucket=st.floats(0, 1), holdout=st.booleans()),
    occurred_at=moments,
    accepted_at=st.integers(1, 4 * 10**15).map(lambda micros: micros / 1_000_000),
    latency=st.none() | st.just(0.25),
    sampling=st.none() | st.builds(types.Sampling, stop=st.just(("a", "b"))),
    ranking=st.none()
    | st.builds(
        types.Ranking, text, st.just((types.RankedCandidate("c", "text", 0.5, 1, 0.9), types.RankedCandidate()))
    ),
    consent=st.sampled_from(types.Consent),
    sealed=st.binary(max_size=4),
)
feedback = st.builds(
    types.Feedback,
    tenant=st.just("t"),
    event_id=st.just("f"),
    user_id=text,
    principal=names,
    occurred_at=moments,
    accepted_at=st.just(5.0),
    sealed=st.binary(max_size=4),
    kind=st.one_of(
        st.builds(types.FollowUp, text),
        st.builds(types.Rating, text, number=st.floats(-9, 9), scale_max=st.just(1.0)),
        st.builds(types.Rating, text, category=text, categories=st.just(("bad", "good"))),
        st.builds(types.Comment, text),
        st.builds(types.Edit, text),
        st.builds(types.Comparison, text, text, st.sampled_from(types.Choice)),
        st.builds(types.Abandon, st.none() | st.just(3.5)),
        st.builds(types.Outcome, text, st.floats(-9, 9)),
    ),
)


@given(st.one_of(interactions, feedback))
@settings(max_examples=150, deadline=None)
def test_an_event_survives_its_row(event: types.Interaction | types.Feedback) -> None:
    topic = "interactions" if isinstance(event, types.Interaction) else "feedback"
    arrived = arrive(Record(topic, 1, 2, b"", codec.encode(event), (), 7.0), b"key")
    row = to_row(arrived)
    assert to_event(topic, row) == codec.decode(codec.encode(event), type(event))
    assert digest_of(to_body(topic, row)) == arrived.body_digest == codec.body_digest(event)
    again = arrived_of(topic, row)
    assert codec.decode(again.value, type(event)) == codec.decode(arrived.value, type(event))


@pytest.mark.parametrize(
    "event",
    [
        types.Interaction("t", "e", "x", messages=(types.Message(types.Role.USER, "secret"),), response="secret"),
        types.Interaction("t", "e", "x", ranking=types.Ranking("secret", (types.RankedCandidate("c", "secret"),))),
        types.Feedback("t", "f", kind=types.FollowUp("secret")),
        types.Feedback("t", "f", kind=types.Comment("secret")),
        types.Feedback("t", "f", kind=types.Edit("secret")),
    ],
)
def test_words_lie_in_no_other_column(event: types.Interaction | types.Feedback) -> None:
    topic = "interactions" if isinstance(event, types.Interaction) else "feedback"
    row = to_row(arrive(Record(topic, 0, 0, b"", codec.encode(event), (), 7.0), b"key"))
    holding = {name for name, value in row.items() if "secret" in str(value)}
    assert holding <= {*WORDS[topic], "words"}
    assert holding


def test_what_happened_after_it_was_accepted_happened_when_it_was_accepted() -> None:
    event = types.Feedback("t", "f", occurred_at=99.0, accepted_at=50.0, kind=types.Copy(3))
    row = to_row(arrive(Record("feedback", 0, 0, b"", codec.encode(event), (), 60.0), b"key"))
    assert row["at"] == 50_000_000


def test_without_a_stamp_the_logs_time_is_the_stamp() -> None:
    event = types.Feedback("", "f", kind=types.Copy(3))
    arrived = arrive(Record("feedback", 0, 0, b"", codec.encode(event), (), 60.0), b"key")
    assert (arrived.accepted_at, arrived.tenant) == (60_000_000, "default")

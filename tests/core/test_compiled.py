"""core/compiled: what is written out says what a walk over the fields says, and the digests of before."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core import codec, compiled, types
from rejoinder.core.ids import digest_of
from rejoinder.v1 import events_pb2

text = st.text(max_size=20)
floats = st.floats(-1e6, 1e6) | st.just(-0.0) | st.just(1e22) | st.just(5e-324)
moments = st.none() | st.integers(-(10**9), 4_000_000_000_000_000).map(lambda micros: micros / 1_000_000)
served = st.builds(types.Served, text, arm=st.sampled_from(types.ArmKind), bucket=floats, forced=st.booleans())
candidates = st.lists(st.builds(types.RankedCandidate, text, text, floats, st.integers(0, 9), floats), max_size=2)
interactions = st.builds(
    types.Interaction,
    event_id=text,
    turn=st.integers(0, 5),
    messages=st.lists(st.builds(types.Message, st.sampled_from(types.Role), text), max_size=2).map(tuple),
    served=st.none() | served,
    status=st.sampled_from(types.AttemptStatus),
    occurred_at=moments,
    accepted_at=moments,
    latency=st.none() | st.floats(-1e6, 1e6),
    log_prob=floats,
    sampling=st.none() | st.builds(types.Sampling, floats, stop=st.lists(text, max_size=2).map(tuple)),
    ranking=st.none() | st.builds(types.Ranking, text, candidates.map(tuple)),
    sealed=st.binary(max_size=4),
)
ratings = st.builds(types.Rating, text, st.none() | floats, categories=st.lists(text, max_size=2).map(tuple))
feedback = st.builds(
    types.Feedback,
    tenant=text,
    user_id=text,
    principal=text,
    occurred_at=moments,
    consent=st.sampled_from(types.Consent),
    kind=st.none() | ratings | st.builds(types.FollowUp, text) | st.builds(types.Abandon, moments),
)


def walked(value: Any) -> Any:
    """The canonical form by another route: a walk over the fields."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [walked(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    out: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item is None or field.name in ("accepted_at", "principal"):
            continue
        if field.name == "kind":
            out[value.kind_name] = walked(item)
        elif field.name in ("occurred_at", "conversation_started_at", "latency", "time_to_first_token", "after"):
            out[field.name] = round(item * 1_000_000)
        elif item != field.default:
            out[field.name] = walked(item)
    return out


@given(interactions | feedback)
@settings(max_examples=300, deadline=None)
def test_the_canonical_form_is_what_a_walk_over_the_fields_finds(event: Any) -> None:
    assert codec.canonical(event) == walked(event)
    assert codec.body_digest(event) == digest_of(walked(event))


@pytest.mark.parametrize(
    ("event", "digest"),
    [
        (
            types.Feedback(event_id="e1", user_id="Zoë", turn=3, occurred_at=1.5, kind=types.FollowUp('no "C"\n')),
            "1f39d8dce929414994629f3f38572bf0d122866dbfeb56f8c21248df593c2c00",
        ),
        (
            types.Feedback(event_id="e2", kind=types.Rating("x", 0.0, scale_max=5.0, categories=("a", "b"))),
            "12e6106db69e3ad3020170b855cf46c3366da99765c492a96c2c855efdadb2b2",
        ),
        (
            types.Interaction(
                event_id="e3",
                messages=(types.Message(types.Role.USER, "How warm?"),),
                response="20 °C",
                served=types.Served("assist", arm=types.ArmKind.CANARY, propensity=0.1, forced=True),
                latency=0.25,
                sealed=b"\x00\xff",
            ),
            "730d6c81399867d3d699af5e980f3196800c791c4d66d7dabcdeb1edb639d312",
        ),
    ],
    ids=["follow_up", "rating", "interaction"],
)  # fmt: skip
def test_digests_are_those_that_ledgers_hold_already(event: Any, digest: str) -> None:
    """F07: another digest for the same body would make every redelivery across an upgrade a conflict."""
    assert codec.body_digest(event) == digest


@given(interactions | feedback)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_again_to_the_microsecond(event: Any) -> None:
    again = codec.decode(codec.encode(event), type(event))
    assert again == event or codec.canonical(again) == codec.canonical(event)


@pytest.mark.parametrize("micros", [-1, 0, 1, 999_999, 1_000_000, 253_402_300_799_000_000])
def test_times_are_protobufs_own_to_the_ends_of_what_they_can_be(micros: int) -> None:
    message = events_pb2.Feedback()
    codec.to_proto(types.Feedback(occurred_at=micros / 1_000_000), message)
    assert message.HasField("occurred_at")
    assert message.occurred_at.ToMicroseconds() == round(micros / 1_000_000 * 1_000_000)
    assert codec.from_proto(message, types.Feedback).occurred_at == message.occurred_at.ToMicroseconds() / 1_000_000


def test_a_value_that_json_has_no_word_for_has_no_digest() -> None:
    with pytest.raises(ValueError, match="JSON"):
        codec.body_digest(types.Feedback(kind=types.Outcome("sale", float("nan"))))


def test_functions_are_written_once() -> None:
    assert compiled.reader(types.Feedback, events_pb2.Feedback.DESCRIPTOR) is compiled.reader(
        types.Feedback, events_pb2.Feedback.DESCRIPTOR
    )

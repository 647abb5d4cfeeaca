from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core import codec
from rejoinder.core.errors import InvalidArgument, TooLong
from rejoinder.core.types import (
    Abandon,
    Choice,
    Click,
    Comment,
    Comparison,
    Edit,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Outcome,
    RankedCandidate,
    Ranking,
    Rating,
    Regenerate,
    Role,
    Sampling,
    Served,
)
from rejoinder.feedback.settings import LimitSettings
from rejoinder.feedback.validate import _SHORT, TEXTS, _check_values, _plainly_good, check_event, check_parts

LIMITS = LimitSettings()
NOW = 1_700_000_000.0
ASKED = (Message(Role.USER, "How warm is it?"),)

GOOD = (
    Feedback(kind=FollowUp("no, in Celsius\nplease")),
    Feedback(kind=Rating(number=-1.0, scale_min=-1.0, scale_max=1.0)),
    Feedback(kind=Rating(number=7.0)),
    Feedback(kind=Rating(category="good", categories=("bad", "good"))),
    Feedback(kind=Comparison("other", choice=Choice.BOTH_BAD)),
    Feedback(kind=Click("c", 1)),
    Feedback(kind=Regenerate()),
    Feedback(kind=Abandon(after=3.0)),
    Feedback(kind=Outcome("refund", -12.5)),
    Feedback(sealed=b"x", key_id="k"),
    Feedback(kind=Click("c", 1), user_id="Zoë 👍 Ω", occurred_at=NOW + 3600),
    Interaction(messages=ASKED, response="", log_prob=-12.5),
    Interaction(messages=(*ASKED, Message(Role.ASSISTANT, ""), Message(Role.TOOL, "{}"))),
    Interaction(messages=ASKED, sampling=Sampling(stop=("\n\n", "</s>"))),
    Interaction(ranking=Ranking("shoes", (RankedCandidate("a", "red", -1.5, 1, 0.5),))),
    Interaction(sealed=b"x", key_id="k"),
    Interaction(messages=ASKED, served=Served("assist", "assist-r1", propensity=1.0, bucket=0.0)),
)

BAD = (
    (Feedback(), "EMPTY_FIELD", "kind"),
    (Feedback(kind=Comment(" ")), "EMPTY_FIELD", "comment.text"),
    (Feedback(kind=Edit()), "EMPTY_FIELD", "edit.text"),
    (Feedback(kind=Comparison(choice=Choice.TIE)), "EMPTY_FIELD", "comparison.other_interaction_id"),
    (Feedback(kind=Comparison("other")), "EMPTY_FIELD", "comparison.choice"),
    (Feedback(kind=Click("", 1)), "EMPTY_FIELD", "click.candidate_id"),
    (Feedback(kind=Click("c")), "EMPTY_FIELD", "click.position"),
    (Feedback(kind=Click("c", -1)), "INVALID_ARGUMENT", "kind.position"),
    (Feedback(kind=Outcome("")), "EMPTY_FIELD", "outcome.name"),
    (Feedback(kind=Rating(category="")), "EMPTY_FIELD", "rating.value"),
    (Feedback(kind=Rating(category="fair", categories=("bad", "good"))), "INVALID_ARGUMENT", "rating.category"),
    (Feedback(kind=Rating(number=0.0, scale_min=1.0, scale_max=5.0)), "INVALID_ARGUMENT", "rating.number"),
    (Feedback(kind=Abandon(after=-1.0)), "INVALID_ARGUMENT", "kind.after"),
    (Feedback(kind=Click("c", 1), turn=-1), "INVALID_ARGUMENT", "turn"),
    (Feedback(kind=Click("c", 1), occurred_at=NOW + 86_401), "INVALID_ARGUMENT", "occurred_at"),
    (Feedback(kind=Click("c", 1), source="a\u2028b"), "BAD_ENCODING", "source"),
    (Feedback(kind=Click("c", 1), user_id="🦔" * 129), "TOO_LONG", "user_id"),
    (Feedback(sealed=b"x" * (256 * 1024 + 1)), "TOO_LONG", "sealed"),
    (Interaction(), "EMPTY_FIELD", "messages"),
    (Interaction(messages=(Message(content="x"),)), "EMPTY_FIELD", "messages.role"),
    (Interaction(messages=(Message(Role.USER, "\t"),)), "EMPTY_FIELD", "messages.content"),
    (Interaction(messages=(Message(Role.USER, "x" * (256 * 1024 + 1)),)), "TOO_LONG", "messages.content"),
    (Interaction(messages=ASKED, latency=-0.1), "INVALID_ARGUMENT", "latency"),
    (Interaction(messages=ASKED, log_prob=float("-inf")), "INVALID_ARGUMENT", "log_prob"),
    (Interaction(messages=ASKED, conversation_started_at=0.0), "INVALID_ARGUMENT", "conversation_started_at"),
    (Interaction(messages=ASKED, served=Served(bucket=1.01)), "INVALID_ARGUMENT", "served.bucket"),
    (Interaction(messages=ASKED, served=Served(version="v\x7f")), "BAD_ENCODING", "served.version"),
    (Interaction(ranking=Ranking("shoes")), "EMPTY_FIELD", "ranking.candidates"),
    (Interaction(ranking=Ranking("s", (RankedCandidate(""),))), "EMPTY_FIELD", "ranking.candidates.id"),
    (Interaction(ranking=Ranking("s", (RankedCandidate("a", propensity=2.0),))), "INVALID_ARGUMENT",
     "ranking.candidates.propensity"),
)  # fmt: skip


@pytest.mark.parametrize("event", GOOD, ids=lambda event: getattr(event, "kind_name", "interaction"))
def test_what_people_and_applications_do_is_taken(event: Feedback | Interaction) -> None:
    check_event(event, LIMITS, NOW)


@pytest.mark.parametrize(("event", "reason", "field"), BAD, ids=lambda part: part if isinstance(part, str) else "")
def test_what_no_event_can_be_is_refused_with_its_field(event: Feedback | Interaction, reason: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        check_event(event, LIMITS, NOW)
    assert (raised.value.reason, raised.value.metadata["field"]) == (reason, field)


@given(
    st.text(max_size=300),
    st.floats(allow_nan=True),
    st.none() | st.floats(allow_nan=True),
    st.integers(-(2**31), 2**31 - 1),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
)
def test_what_is_plainly_good_has_nothing_at_fault(
    text: str, number: float, time: float | None, position: int, names: tuple[str, ...]
) -> None:
    """The one expression that nearly every event ends with takes nothing that the look at each value would refuse."""
    for event in (
        Feedback(event_id=text, occurred_at=time, turn=position, kind=Click(text, position)),
        Feedback(
            user_id=text, sealed=b"x" * (position % 9), kind=Rating(text, number, category=text, categories=names)
        ),
        Interaction(messages=(Message(Role.USER, text),), response=text, latency=time, sampling=Sampling(number)),
        Interaction(served=Served(text, bucket=number), ranking=Ranking(text, (RankedCandidate(text, score=number),))),
    ):
        for limits in (LIMITS, LimitSettings(max_text_bytes=8, max_id_chars=12)):
            short = min(_SHORT, limits.max_id_chars)
            if _plainly_good(type(event))(event, short, limits.max_text_bytes, NOW + limits.max_ahead_s):
                _check_values(event, "", limits, NOW)


def test_an_everyday_event_is_plainly_good() -> None:
    for event in (GOOD[0], GOOD[2], GOOD[5], GOOD[11]):
        assert _plainly_good(type(event))(event, _SHORT, LIMITS.max_text_bytes, NOW)


def test_every_string_that_is_no_text_is_held_to_the_rule_of_ids() -> None:
    names = [f.name for f in dataclasses.fields(Interaction) if f.type == "str" and f.name not in TEXTS]
    assert len(names) > 8
    for name in names:
        with pytest.raises(InvalidArgument, match=name):
            check_event(dataclasses.replace(GOOD[11], **{name: "a\nb"}), LIMITS, NOW)


@given(st.text(max_size=300), st.floats(), st.floats(allow_nan=True), st.integers(-(2**31), 2**31 - 1))
def test_any_value_is_taken_or_refused_and_nothing_else_happens(
    text: str, number: float, time: float, position: int
) -> None:
    for event in (
        Feedback(event_id=text, occurred_at=time, kind=Click(text, position)),
        Feedback(kind=Rating(text, number, scale_min=number, scale_max=number)),
        Interaction(messages=(Message(Role.USER, text),), response=text, latency=number),
    ):
        # Anything but a class of InvalidArgument fails the test, by name.
        with contextlib.suppress(InvalidArgument):
            check_event(event, LIMITS, NOW)


def test_f15_parts_are_counted_before_anything_is_made_of_them() -> None:
    limits = LimitSettings(max_parts=3)
    fits = Interaction(messages=(Message(Role.USER, "x"),) * 3, ranking=Ranking("q", (RankedCandidate("c"),) * 3))
    check_parts(codec.to_proto(fits), limits)
    check_parts(codec.to_proto(Feedback(kind=Rating(categories=("a",) * 3))), limits)
    for event, field in (
        (dataclasses.replace(fits, messages=fits.messages * 2), "messages"),
        (dataclasses.replace(fits, ranking=Ranking("q", (RankedCandidate("c"),) * 4)), "ranking.candidates"),
        (dataclasses.replace(fits, sampling=Sampling(stop=("a",) * 4)), "sampling.stop"),
        (Feedback(kind=Rating(categories=("a",) * 4)), "rating.categories"),
    ):
        with pytest.raises(TooLong) as raised:
            check_parts(codec.to_proto(event), limits)
        assert raised.value.metadata["field"] == field

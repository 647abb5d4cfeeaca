"""policy/checks: what is refused, and that ingest takes whatever passes (F06: no answer is lost for its form)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from rejoinder.core.errors import BadEncoding, EmptyField, InvalidArgument, NotFound, TooLong
from rejoinder.core.ids import MAX_NAME_CHARS
from rejoinder.core.types import AttemptStatus, Consent, Interaction, Message, Role, Sampling, Served
from rejoinder.feedback.settings import LimitSettings
from rejoinder.feedback.validate import check_event
from rejoinder.policy.checks import (
    Limits,
    check_forced,
    check_interaction,
    check_messages,
    check_policy,
    checked_sampling,
)

LIMITS = Limits(max_prompt_bytes=1000, max_tokens=64, temperature=0.7)
NOW = 1_700_000_000.0
USER = Message(Role.USER, "How warm?")


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ((), EmptyField),
        ((Message(Role.USER, " \n\t"),), EmptyField),
        ((Message(Role.USER, ""), Message(Role.ASSISTANT, "?"), USER), EmptyField),
        ((USER, Message(Role.ASSISTANT, "20")), InvalidArgument),
        ((Message(Role.SYSTEM, "be short"),), InvalidArgument),
        ((Message(Role.UNSPECIFIED, "x"), USER), InvalidArgument),
        ((Message(Role.USER, "x" * 1001),), TooLong),
        # Ingest takes no more parts than these: the answer would go unrecorded.
        ((Message(Role.SYSTEM, ""),) * LimitSettings().max_parts + (USER,), TooLong),
        ((Message(Role.SYSTEM, "é" * 300), Message(Role.USER, "é" * 201)), TooLong),
    ],
)
def test_a_conversation_that_asks_nothing_is_refused(messages: tuple[Message, ...], error: type) -> None:
    with pytest.raises(error) as raised:
        check_messages(messages, LIMITS)
    assert "warm" not in str(raised.value)


@pytest.mark.parametrize(
    "messages",
    [
        (USER,),
        (Message(Role.SYSTEM, ""), USER),
        (USER, Message(Role.ASSISTANT, ""), USER),
        (USER, Message(Role.TOOL, "{}")),
        (Message(Role.USER, "é" * 500),),
    ],
)
def test_a_conversation_that_asks_something_is_taken(messages: tuple[Message, ...]) -> None:
    check_messages(messages, LIMITS)


def test_what_a_caller_leaves_open_is_filled_in() -> None:
    assert checked_sampling(None, LIMITS) == Sampling(temperature=0.7, max_tokens=64)
    assert checked_sampling(Sampling(temperature=0.0), LIMITS) == Sampling(temperature=0.0, max_tokens=64)
    assert checked_sampling(Sampling(max_tokens=3, seed=5), LIMITS) == Sampling(max_tokens=3, seed=5)


@pytest.mark.parametrize(
    ("sampling", "error"),
    [
        (Sampling(temperature=-0.1), InvalidArgument),
        (Sampling(temperature=float("nan")), InvalidArgument),
        (Sampling(temperature=float("inf")), InvalidArgument),
        (Sampling(top_p=1.01), InvalidArgument),
        (Sampling(top_p=float("nan")), InvalidArgument),
        (Sampling(top_k=-1), InvalidArgument),
        (Sampling(max_tokens=-1), InvalidArgument),
        (Sampling(max_tokens=65), TooLong),
        (Sampling(stop=("",)), EmptyField),
        (Sampling(stop=("x",) * 17), TooLong),
        (Sampling(stop=("é" * 129,)), TooLong),
    ],
)
def test_sampling_out_of_range_is_refused(sampling: Sampling, error: type) -> None:
    with pytest.raises(error):
        checked_sampling(sampling, LIMITS)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"user_id": "u" * (MAX_NAME_CHARS + 1)}, TooLong),
        ({"user_id": "🦔" * 129}, TooLong),
        ({"interaction_id": "a\nb"}, BadEncoding),
        ({"conversation_id": "a\u202eb"}, BadEncoding),
        ({"turn": -1}, InvalidArgument),
        ({"conversation_started_at": 0.0}, InvalidArgument),
        ({"conversation_started_at": NOW + 90_000}, InvalidArgument),
    ],
)
def test_ids_and_times_that_ingest_would_reject_are_refused_before_the_answer(
    fields: dict[str, object], error: type
) -> None:
    with pytest.raises(error):
        check_interaction(Interaction(**fields), NOW)
    check_interaction(Interaction(), NOW)


@pytest.mark.parametrize("forced", [Served(propensity=1.5), Served(bucket=-0.1), Served(generation=-1)])
def test_a_share_that_is_none_is_refused(forced: Served) -> None:
    with pytest.raises(InvalidArgument):
        check_forced(forced)
    check_forced(Served(propensity=1.0, bucket=0.5, generation=3))


def test_another_policy_is_not_served_here() -> None:
    with pytest.raises(NotFound):
        check_policy("other", "assist")
    check_policy("", "assist")
    check_policy("assist", "assist")


def test_whatever_passes_here_is_taken_by_ingest() -> None:
    """Thousands of requests made of sound and unsound parts; those that pass must pass ingest's own rules."""
    draw = random.Random(1)
    # Sound parts are given more often, so that many requests pass as a whole.
    texts = (*("words", "a\0b", "line\nline", "é" * 200, "\u202e") * 4, "", " ", "é" * 600)
    names = (*("", "id", "x" * 256, "a b") * 6, "x" * 257, "\x7f", "\u202e")
    numbers = (*(0, 1, 64) * 6, -1, 65, 10**12)
    reals = (*(0.0, 1.0, 0.5) * 6, -1.0, float("nan"), float("inf"))
    times = (*(None, NOW) * 5, 0.0, NOW * 2)
    roles = (*(Role.USER,) * 8, *Role)
    passed = 0
    for _ in range(4000):
        asked = Interaction(
            tenant=draw.choice(names[:3]),
            interaction_id=draw.choice(names),
            conversation_id=draw.choice(names),
            user_id=draw.choice(names),
            turn=draw.choice(numbers),
            conversation_started_at=draw.choice(times),
            messages=tuple(
                Message(draw.choice(roles), draw.choice(texts)) for _ in range(draw.choice((0, 1, 1, 1, 2)))
            ),
            sampling=draw.choice((None, Sampling(draw.choice(reals), draw.choice(reals), draw.choice(numbers)))),
            consent=draw.choice(list(Consent)),
        )
        forced = Served(propensity=draw.choice(reals), bucket=draw.choice(reals), generation=draw.choice(numbers))
        try:
            check_messages(asked.messages, LIMITS)
            check_interaction(asked, NOW)
            sampling = checked_sampling(asked.sampling, LIMITS)
            check_forced(forced)
        except InvalidArgument:
            continue
        passed += 1
        attempt = replace(
            asked,
            event_id="e",
            attempt_id="e",
            sampling=sampling,
            served=forced,
            status=AttemptStatus.COMPLETED,
            response="fine",
            occurred_at=NOW,
            accepted_at=NOW,
        )
        check_event(attempt, LimitSettings(), NOW)
    assert 400 < passed < 3600

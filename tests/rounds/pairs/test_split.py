"""rounds/pairs/split: no user, conversation or example stands on two sides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core.arms import Salts
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.types import Candidate, Message, Preference, Role
from rejoinder.rounds.pairs.split import SIDES, side_of, split

SALTS = Salts()


def pair(user: str, text: str = "", conversation: str = "") -> Preference:
    said = text or f"The answer for {user}"
    return Preference(
        f"p-{user}-{said}",
        (Message(Role.USER, f"What about {said}?"),),
        (Candidate(f"{said} is good"), Candidate(f"{said} is bad")),
        tenant="t",
        user_id=user,
        conversation_id=conversation,
    )


def user_of(side: str) -> str:
    return next(u for u in (f"user{i}" for i in range(1000)) if side_of(pair(u), SALTS, 0.0) == side)


def test_each_user_stands_on_one_side_in_the_stated_shares() -> None:
    made = split([pair(f"user{i}") for i in range(2000)], SALTS, 0.0)
    shares = [len(made.sides[name]) / 2000 for name in SIDES]
    assert shares == pytest.approx([0.70, 0.15, 0.15], abs=0.03)
    users = [{p.user_id for p in made.sides[name]} for name in SIDES]
    assert not (users[0] & users[1])
    assert not (users[0] & users[2])
    assert not (users[1] & users[2])


def test_a_holdout_user_stops_the_round() -> None:
    """U15: holdout users are never trained on."""
    with pytest.raises(FailedPrecondition, match="holdout"):
        split([pair(f"user{i}") for i in range(200)], SALTS, 0.2)


def test_a_conversation_of_two_people_on_two_sides_stops_the_round() -> None:
    """F05, U09: the leak check fails the build."""
    with pytest.raises(FailedPrecondition, match="conversation"):
        split([pair(user_of("pairs"), conversation="c"), pair(user_of("gate"), conversation="c")], SALTS, 0.0)


def test_an_example_that_is_measured_with_is_not_trained_on() -> None:
    made = split([pair(user_of("pairs"), "the same"), pair(user_of("gate"), "the same")], SALTS, 0.0)
    assert made.crossing == {"same_example": 1}
    assert made.sides["pairs"] == ()


def test_a_long_text_that_is_measured_with_is_not_trained_on() -> None:
    long = " ".join(f"word{i}" for i in range(60))
    measured = replace(pair(user_of("evaluation")), candidates=(Candidate(long), Candidate("x")))
    trained = replace(pair(user_of("pairs")), candidates=(Candidate(f"Well, {long} and more"), Candidate("y")))
    assert split([measured, trained], SALTS, 0.0).crossing == {"near_duplicate": 1}


def test_the_same_question_from_two_people_is_no_leak() -> None:
    one, other = pair(user_of("pairs")), pair(user_of("gate"))
    assert split([replace(one, prompt=other.prompt), other], SALTS, 0.0).crossing == {}


def test_without_users_the_conversation_is_the_unit_and_is_counted() -> None:
    made = split([pair("", f"text {i}", f"c{i}") for i in range(50)], SALTS, 0.0)
    assert made.without_user == 50
    assert sum(len(made.sides[name]) for name in SIDES) == 50

"""rounds/pairs/guards: each guard refuses what it is there for, and a clean pair passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core import charter
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Candidate, Message, Preference, Role
from rejoinder.rounds.pairs.context import Draft, Likelihood
from rejoinder.rounds.pairs.guards import Guards, GuardSettings, leaks

WISH = 'Change length, tone or format as wished. The user said: "No, in Celsius please, I do not read Fahrenheit."'
SAID = "No, in Celsius please, I do not read Fahrenheit."
HISTORY = "How warm is it in town today?"
PAIR = Preference(
    "p1",
    (Message(Role.USER, HISTORY),),
    (Candidate("It is 20 degrees Celsius."), Candidate("It is 68 degrees Fahrenheit.")),
    tenant="t",
    user_id="u1",
)


def refuse(draft: Draft, **settings: object) -> str:
    return Guards(GuardSettings(**settings)).refuse(draft, HISTORY)  # type: ignore[arg-type]


def test_a_clean_pair_passes() -> None:
    assert refuse(Draft(PAIR, (WISH, SAID))) == ""


PLANTED = {
    "the whole wish as system prompt": (Message(Role.SYSTEM, WISH), *PAIR.prompt),
    "the follow-up as a further turn": (*PAIR.prompt, Message(Role.USER, SAID)),
    "five words of the follow-up inside a turn": (Message(Role.USER, f"{HISTORY} i do not read fahrenheit"),),
    "the wish in capitals and other punctuation": (Message(Role.SYSTEM, "IN CELSIUS, PLEASE! I DO: NOT"), *PAIR.prompt),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_wish_is_found_in_the_training_prompt(name: str) -> None:
    assert refuse(Draft(replace(PAIR, prompt=PLANTED[name]), (WISH, SAID))) == "wish_in_prompt"


def test_words_that_the_history_had_before_are_no_leak() -> None:
    history = f"{HISTORY}\nI said: in Celsius please, I do not read"
    pair = replace(PAIR, prompt=(Message(Role.USER, history),))
    assert not leaks(pair, ("in Celsius please, I do not read",), history)
    assert leaks(pair, ("in Celsius please, I do not read",), HISTORY)


def test_a_wish_of_few_words_is_found_when_it_stands_as_a_line() -> None:
    pair = replace(PAIR, prompt=(Message(Role.SYSTEM, "Be brief."), *PAIR.prompt))
    assert leaks(pair, ("be brief",), HISTORY)
    assert not leaks(PAIR, ("be brief",), HISTORY)


@pytest.mark.parametrize(
    ("chosen", "cause"),
    [
        ("", "empty_response"),
        ("it is 68 degrees fahrenheit", "identical_responses"),
        ("no", "length_ratio"),
        ("Write to anna.meier@example.org for it.", "pii"),
        ("Call +49 170 1234 5678 for it now.", "pii"),
        ("Pay with 4111 1111 1111 1111 for it.", "pii"),
        ("Pay to DE89 3704 0044 0532 0130 00 now.", "pii"),
        # Numbers that only look like it: no check digit, no country's plan.
        ("Order 4111 1111 1111 1112 is on its way.", ""),
        ("It grew from 1 200 300 4000 to twice that.", ""),
    ],
)
def test_answers_that_must_not_be_learnt_are_refused(chosen: str, cause: str) -> None:
    pair = replace(PAIR, candidates=(Candidate(chosen), PAIR.candidates[1]))
    assert refuse(Draft(pair)) == cause


def test_national_numbers_are_those_of_the_countries_named() -> None:
    pair = replace(PAIR, candidates=(Candidate("Call 030 901820 about it now."), PAIR.candidates[1]))
    assert [refuse(Draft(pair), phone_regions=regions) for regions in (("US",), ("DE",))] == ["", "pii"]
    with pytest.raises(BadSettings, match="phone_regions: UK"):
        GuardSettings(phone_regions=("UK",))


def test_of_a_list_every_answer_but_the_worst_is_learnt_and_looked_at() -> None:
    address = Candidate("Write to ann@example.org.")
    ranked = [PAIR.candidates[0], address, PAIR.candidates[1]]
    for order, cause in (((0, 1, 2), "pii"), ((0, 2, 1), "")):
        listed = replace(PAIR, candidates=tuple(ranked), order=order, relation="list")
        assert refuse(Draft(listed), min_length_ratio=0.0) == cause


def test_numbers_that_are_no_phone_pass() -> None:
    for text in ("It lasted from 1914 to 1918, 4 years.", "The tower is 1,063 feet or 324 m high.", "Pi is 3.14159."):
        pair = replace(PAIR, candidates=(Candidate(text), PAIR.candidates[1]))
        assert refuse(Draft(pair)) == ""


def test_an_answer_that_the_policy_would_never_say_is_refused() -> None:
    draft = Draft(PAIR, (), (Likelihood(-80.0, 5), Likelihood(-5.0, 5)))
    assert refuse(draft, support_floor=-6.0) == "support_floor"
    assert refuse(draft, support_floor=float("-inf")) == ""


def test_one_user_cannot_fill_a_round() -> None:
    """F15: per-principal influence caps."""
    guards = Guards(GuardSettings(max_per_user=2))
    made = [
        replace(PAIR, id=str(i), prompt=(Message(Role.USER, f"Question {' '.join(str(i * 7 + j) for j in range(9))}"),))
        for i in range(4)
    ]
    assert [guards.refuse(Draft(pair), "") for pair in made] == ["", "", "user_cap", "user_cap"]
    other = replace(made[3], user_id="u2")
    assert guards.refuse(Draft(other), "") == ""


def test_of_two_nearly_equal_pairs_the_first_stays() -> None:
    long = "The tower was built in the year 1889 for the world fair and stands in the city of Paris to this day"
    one = replace(PAIR, candidates=(Candidate(long), PAIR.candidates[1]))
    twin = replace(one, id="p2", user_id="u2", candidates=(Candidate(long + "."), PAIR.candidates[1]))
    guards = Guards(GuardSettings())
    assert [guards.refuse(Draft(one), ""), guards.refuse(Draft(twin), ""), guards.refuse(Draft(PAIR), "")] == [
        "",
        "near_duplicate",
        "",
    ]


def test_the_same_answers_the_other_way_round_are_no_twin() -> None:
    """F15: one caller's reversed copies would put everybody's pairs aside."""
    answers = tuple(Candidate(" ".join(f"word{start + i}" for i in range(160))) for start in (0, 1000))
    one = replace(PAIR, candidates=answers)
    reverse = replace(one, id="p2", user_id="u2", candidates=answers[::-1])
    guards = Guards(GuardSettings())
    assert [guards.refuse(Draft(pair), "") for pair in (reverse, one)] == ["", ""]


CHARTER = charter.of(
    {
        "version": "1",
        "norms": [
            {"id": "no-degrees", "text": "t", "owner": "o", "asked": "how warm", "forbid": r"\d+ degrees celsius"},
            {"id": "short", "text": "t", "owner": "o", "most_words": 2, "severity": "report"},
        ],
    }
)


def test_a_pair_whose_chosen_answer_breaks_a_norm_is_refused_with_the_norms_name() -> None:
    guards = Guards(GuardSettings(), CHARTER)
    assert guards.refuse(Draft(PAIR), HISTORY) == "norm.no-degrees"
    turned = replace(PAIR, candidates=PAIR.candidates[::-1])
    assert guards.refuse(Draft(turned), HISTORY) == "", "what is rejected may break it: that is what is learnt"
    elsewhere = replace(PAIR, prompt=(Message(Role.USER, "What does the sign say?"),))
    assert guards.refuse(Draft(elsewhere), HISTORY) == "", "it applies to other questions"

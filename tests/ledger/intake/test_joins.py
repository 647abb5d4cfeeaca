"""ledger/joins: which answer a feedback is about. The table of cases from the contract, and what each must not do."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from rejoinder.core.ids import answer_digest
from rejoinder.ledger.intake.joins import Answer, Ask, Link, repeat_key, resolve, thread
from rejoinder.ledger.settings import Rules

S = 1_000_000
DAY = 86_400 * S
RULES = Rules()


def answer(name: str, **fields: object) -> Answer:
    base = Answer(
        interaction_id=name,
        attempt_id=f"a-{name}",
        conversation_id="c",
        turn=0,
        user_id="ann",
        principal="app",
        status="COMPLETED",
        answer_digest=answer_digest(f"answer {name}"),
        history_digest="",
        parent_interaction_id="",
        version="v1",
        at=100 * S,
        accepted_at=100 * S,
    )
    return replace(base, **fields)


def ask(**fields: object) -> Ask:
    base = Ask(
        kind="follow_up",
        interaction_id="",
        attempt_id="",
        conversation_id="",
        turn=0,
        answer_digest="",
        user_id="ann",
        principal="app",
        at=200 * S,
        accepted_at=200 * S,
    )
    return replace(base, **fields)


FIRST = answer("x1", turn=1)
SECOND = answer("x2", turn=2, at=150 * S, accepted_at=150 * S)
SAID_1 = answer_digest("answer x1")


# What the application did to the history before it sent the follow-up, and what joining makes of it.
CASES = {
    "it names the interaction": (ask(interaction_id="x1"), Link("joined", "interaction", "", "x1", "a-x1")),
    "it names interaction and attempt": (
        ask(interaction_id="x1", attempt_id="a-x1"),
        Link("joined", "interaction", "", "x1", "a-x1"),
    ),
    "it names an interaction that is not there": (ask(interaction_id="x9"), Link("unlinked", "", "target_unknown")),
    "it names an attempt that is not there": (
        ask(interaction_id="x1", attempt_id="zz"),
        Link("unlinked", "", "attempt_unknown"),
    ),
    "conversation and turn": (ask(conversation_id="c", turn=2), Link("joined", "turn", "", "x2", "a-x2")),
    "a turn that is not there": (ask(conversation_id="c", turn=7), Link("unlinked", "", "turn_unknown")),
    "trimmed history: the turn counts from the cut, the digest still matches": (
        ask(conversation_id="c", turn=9, answer_digest=SAID_1),
        Link("joined", "digest", "", "x1", "a-x1"),
    ),
    "injected system prompt: the last assistant message is what it was": (
        ask(answer_digest=SAID_1),
        Link("joined", "digest", "", "x1", "a-x1"),
    ),
    "retrieved text added: whitespace around the answer changed": (
        ask(answer_digest=answer_digest("  answer\n x1 ")),
        Link("joined", "digest", "", "x1", "a-x1"),
    ),
    "edited answer: nobody said that": (
        ask(answer_digest=answer_digest("answer x1, edited")),
        Link("unlinked", "", "digest_unknown"),
    ),
    "the same words to another user": (
        ask(answer_digest=SAID_1, user_id="bob"),
        Link("unlinked", "", "digest_unknown"),
    ),
    "no user named: the same principal": (
        ask(answer_digest=SAID_1, user_id=""),
        Link("joined", "digest", "", "x1", "a-x1"),
    ),
    "no user named, another principal": (
        ask(answer_digest=SAID_1, user_id="", principal="other"),
        Link("unlinked", "", "digest_unknown"),
    ),
    "more than 24 hours later": (
        ask(answer_digest=SAID_1, at=FIRST.at + DAY + 1, accepted_at=FIRST.at + DAY + 1),
        Link("unlinked", "", "digest_unknown"),
    ),
    "before the answer": (ask(answer_digest=SAID_1, at=99 * S), Link("unlinked", "", "digest_unknown")),
    "nothing named": (ask(), Link("unlinked", "", "no_reference")),
    "another user's answer by its id": (
        ask(interaction_id="x1", user_id="bob"),
        Link("foreign", "interaction", "", "x1", ""),
    ),
    "another user's answer by its turn": (
        ask(conversation_id="c", turn=1, user_id="bob"),
        Link("foreign", "turn", "", "x1", ""),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_case_joins_as_the_contract_says(case: str) -> None:
    asked, expected = CASES[case]
    for pool in permutations([FIRST, SECOND]):
        assert resolve(asked, pool, RULES) == expected


def test_two_tabs_with_the_same_answer_are_ambiguous_unless_the_conversation_is_named() -> None:
    tabs = [answer("x1", conversation_id="tab1"), answer("y1", conversation_id="tab2", answer_digest=SAID_1)]
    assert resolve(ask(answer_digest=SAID_1), tabs, RULES) == Link("unlinked", "", "ambiguous_digest")
    named = resolve(ask(answer_digest=SAID_1, conversation_id="tab2"), tabs, RULES)
    assert named == Link("joined", "digest", "", "y1", "a-y1")


def test_a_regenerated_answer_at_the_same_turn_needs_a_digest() -> None:
    both = [answer("x1", turn=1), answer("x2", turn=1)]
    assert resolve(ask(conversation_id="c", turn=1), both, RULES) == Link("unlinked", "", "ambiguous_turn")
    told = resolve(ask(conversation_id="c", turn=1, answer_digest=answer_digest("answer x2")), both, RULES)
    assert told == Link("joined", "turn", "", "x2", "a-x2")


def test_the_same_answer_twice_in_one_conversation_means_the_later_one() -> None:
    both = [answer("x1"), answer("x2", answer_digest=SAID_1, at=150 * S)]
    assert resolve(ask(answer_digest=SAID_1), both, RULES).interaction_id == "x2"


def test_two_delivered_attempts_are_ambiguous_and_a_failed_one_is_not_counted() -> None:
    delivered = [answer("x1"), answer("x1", attempt_id="b")]
    assert resolve(ask(interaction_id="x1"), delivered, RULES) == Link(
        "joined", "interaction", "ambiguous_attempt", "x1", ""
    )
    failed = [answer("x1"), answer("x1", attempt_id="b", status="FAILED")]
    assert resolve(ask(interaction_id="x1"), failed, RULES) == Link("joined", "interaction", "", "x1", "a-x1")


def test_an_answer_accepted_a_week_later_finds_an_orphan() -> None:
    asked = ask(interaction_id="x1", at=100 * S, accepted_at=100 * S)
    in_time = answer("x1", accepted_at=asked.accepted_at + 7 * DAY)
    assert resolve(asked, [in_time], RULES).state == "joined"
    late = replace(in_time, accepted_at=in_time.accepted_at + 1)
    assert resolve(asked, [late], RULES) == Link("unlinked", "", "too_late")


def test_a_comparison_has_no_direction_and_appended_kinds_have_no_repeat_key() -> None:
    this = repeat_key(ask(kind="comparison"), Link("joined", "interaction", "", "x1", "a"), "", "x2")
    other = repeat_key(ask(kind="comparison"), Link("joined", "interaction", "", "x2", "a"), "", "x1")
    assert this == other is not None
    for kind in ("follow_up", "comment", "click", "copy", "regenerate"):
        assert repeat_key(ask(kind=kind), Link("joined", "turn", "", "x1", "a"), "", "") is None


def test_ratings_repeat_per_name_and_user() -> None:
    link = Link("joined", "interaction", "", "x1", "a")
    keys = {
        repeat_key(ask(kind="rating", user_id=user), link, name, "") for user in ("ann", "bob") for name in ("", "tone")
    }
    assert len(keys) == 4


def test_a_turn_after_another_version_is_crossed_and_the_earlier_one_is_not() -> None:
    pool = [answer("x1", turn=1), answer("x2", turn=2, version="v2"), answer("x3", turn=3, version="v2")]
    for order in permutations(pool):
        threads = thread(order)
        crossed = {name: threads[found.key].crossed for name, found in zip(("x1", "x2", "x3"), pool, strict=True)}
        assert crossed == {"x1": False, "x2": True, "x3": True}


def test_a_failed_attempt_under_another_version_crosses_nothing() -> None:
    pool = [answer("x1", turn=1, version="v2", status="FAILED"), answer("x2", turn=2)]
    assert not thread(pool)[pool[1].key].crossed


def test_a_parent_is_explicit_or_found_by_the_answer_in_the_history_or_unlinked() -> None:
    first = answer("x1", at=1)
    told = answer("x2", at=2, parent_interaction_id="x0")
    found = answer("x3", at=3, history_digest=SAID_1)
    edited = answer("x4", at=4, history_digest=answer_digest("something else"))
    for order in permutations([first, told, found, edited]):
        threads = thread(order)
        links = [(threads[a.key].parent, threads[a.key].how) for a in (first, told, found, edited)]
        assert links == [("", "root"), ("x0", "explicit"), ("x1", "digest"), ("", "unlinked")]

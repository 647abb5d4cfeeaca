"""rounds/pairs/wildfeedback: the disliked answer against one under the wish, the wish not in the prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core.types import FollowUp, Message, Polarity, Role
from rejoinder.ledger.windows import Evidence
from rejoinder.rounds.pairs import wildfeedback
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, Wish

Make = Callable[..., Evidence]


def built(evidence: list[Evidence], context: Context, **params: Any) -> list[Draft | Dropped]:
    return list(wildfeedback.build(evidence, wildfeedback.Params(**params), context))


def test_chosen_is_regenerated_under_the_wish_and_rejected_is_what_was_served(
    make_evidence: Make, context: Context
) -> None:
    (draft,) = built([make_evidence()], context)
    assert draft.preference.chosen == "It is 20 degrees Celsius today."
    assert draft.preference.rejected == "It is 68 degrees Fahrenheit."
    assert draft.preference.margin > 0


def test_the_wish_is_in_the_generation_prompt_and_not_in_the_training_prompt(
    make_evidence: Make, context: Context, policy: Any
) -> None:
    (draft,) = built([make_evidence()], context)
    (asked,) = policy.asked
    assert asked[0].role is Role.SYSTEM
    assert "Celsius" in asked[0].content
    assert draft.preference.prompt == (Message(Role.USER, "How warm is it in town number 1?"),)
    assert any("Celsius" in text for text in draft.forbidden)


def test_without_the_wish_the_regeneration_has_no_effect(make_evidence: Make, context: Context) -> None:
    """The control: a summariser that says nothing of the wish must not make the preferred answer."""

    class Mute:
        def summarise(self, evidence: Evidence) -> Wish:
            return Wish("Answer well.", "mute")

    (draft,) = built([make_evidence()], replace(context, summariser=Mute()))
    assert "Celsius" not in draft.preference.chosen


def test_an_existing_system_prompt_stays_in_front() -> None:
    guided = wildfeedback.guide((Message(Role.SYSTEM, "Be kind."), Message(Role.USER, "q")), Wish("Be brief.", "r"))
    assert guided[0] == Message(Role.SYSTEM, "Be kind.\nBe brief.")
    assert guided[1:] == (Message(Role.USER, "q"),)


@pytest.mark.parametrize(
    ("signal", "kind", "cause"),
    [
        ({"polarity": Polarity.SAT}, None, "not_dissatisfied"),
        ({"polarity": Polarity.NONE}, None, "not_dissatisfied"),
        ({"confidence": 0.3}, None, "low_confidence"),
        ({}, FollowUp("   "), "no_wish"),
    ],
)
def test_what_makes_no_pair_is_dropped_with_its_cause(
    make_evidence: Make, context: Context, signal: dict[str, Any], kind: Any, cause: str
) -> None:
    assert built([make_evidence(1, kind, **signal)], context) == [Dropped("f1", cause)]


def test_doubt_of_the_signal_becomes_the_flip_probability(make_evidence: Make, context: Context) -> None:
    drafts = built([make_evidence(1, confidence=0.95), make_evidence(2, confidence=0.7)], context)
    assert [round(d.preference.flip_probability, 2) for d in drafts] == [0.05, 0.3]


def test_provenance_walks_back_to_every_event(make_evidence: Make, context: Context) -> None:
    """U07: from a pair to what made it."""
    (draft,) = built([make_evidence(4)], context)
    made = draft.preference.provenance
    assert made.event_ids == ("e4", "f4", "s4")
    assert (made.round, made.judge, made.version) == (3, "sat@1", "assist-base")


def test_the_same_evidence_in_another_order_makes_the_same_pairs(make_evidence: Make, context: Context) -> None:
    some = [make_evidence(i) for i in range(5)]
    one, other = built(some, context), built(some[::-1], context)
    assert sorted(d.preference.id for d in one) == sorted(d.preference.id for d in other)
    assert {d.preference.id: d.preference.chosen for d in one} == {d.preference.id: d.preference.chosen for d in other}

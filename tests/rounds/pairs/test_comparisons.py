"""rounds/pairs/comparisons: people's choices become pairs, ties do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rejoinder.core.types import Choice, Comparison
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import comparisons
from rejoinder.rounds.pairs.context import Context, Dropped

Make = Callable[..., Evidence]


def compared(make: Make, choice: Choice) -> Evidence:
    item = make(1, Comparison("i2", "a2", choice))
    return replace(item, other=replace(item.interaction, interaction_id="i2", response="It is 20 degrees Celsius."))


@pytest.mark.parametrize(("choice", "chosen"), [(Choice.THIS, "68"), (Choice.OTHER, "20")])
def test_the_preferred_answer_is_chosen_whichever_side_it_stands_on(
    make_evidence: Make, context: Context, choice: Choice, chosen: str
) -> None:
    (draft,) = comparisons.build([compared(make_evidence, choice)], comparisons.Params(), context)
    assert chosen in draft.preference.chosen


@pytest.mark.parametrize("choice", [Choice.TIE, Choice.BOTH_BAD])
def test_a_tie_is_no_pair(make_evidence: Make, context: Context, choice: Choice) -> None:
    made = list(comparisons.build([compared(make_evidence, choice)], comparisons.Params(), context))
    assert made == [Dropped("f1", "tie")]


def test_answers_to_different_prompts_are_not_compared(make_evidence: Make, context: Context) -> None:
    item = compared(make_evidence, Choice.THIS)
    elsewhere = replace(item, other=replace(item.other, messages=()))
    assert list(comparisons.build([elsewhere], comparisons.Params(), context)) == [Dropped("f1", "prompts_differ")]

"""rounds/pairs/ranked: the whole list in the order of reward, and what the train stage is given of it."""

from __future__ import annotations

from collections.abc import Callable

from rejoinder.ledger.reading.windows import Evidence
from rejoinder.registry.datasets import training_row
from rejoinder.rounds.pairs import best_worst, ranked
from rejoinder.rounds.pairs.context import Context, Dropped

Make = Callable[..., Evidence]


def test_all_answers_stand_in_the_order_of_reward(make_evidence: Make, context: Context) -> None:
    (draft,) = ranked.build([make_evidence()], ranked.Params(n=4, min_margin=0.1), context)
    scores = [c.score for c in draft.preference.candidates]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert draft.preference.relation == "list"
    assert draft.preference.margin == scores[0] - scores[-1]


def test_its_ends_are_what_best_and_worst_would_be(make_evidence: Make, context: Context) -> None:
    params = {"n": 4, "min_margin": 0.1}
    (listed,) = ranked.build([make_evidence()], ranked.Params(**params), context)
    (pair,) = best_worst.build([make_evidence()], best_worst.Params(**params), context)
    assert (listed.preference.chosen, listed.preference.rejected) == (pair.preference.chosen, pair.preference.rejected)


def test_the_train_stage_is_given_texts_and_values(make_evidence: Make, context: Context) -> None:
    (draft,) = ranked.build([make_evidence()], ranked.Params(n=4, min_margin=0.1), context)
    row = training_row(draft.preference)
    assert [c["text"] for c in row["candidates"]] == [c.response for c in draft.preference.candidates]
    assert (row["chosen"], row["rejected"]) == (row["candidates"][0]["text"], row["candidates"][-1]["text"])


def test_two_answers_are_no_list(make_evidence: Make, context: Context) -> None:
    params = ranked.Params(n=2, min_margin=0.0)
    assert list(ranked.build([make_evidence()], params, context)) == [Dropped("f1", "too_few_answers")]

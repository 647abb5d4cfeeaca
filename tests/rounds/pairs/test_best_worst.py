"""rounds/pairs/best_worst: best against worst of n, ties and single answers dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rejoinder.core.types import Message, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import best_worst
from rejoinder.rounds.pairs.context import Context, Dropped, Sampled

Make = Callable[..., Evidence]


def test_best_stands_against_worst_with_their_margin(make_evidence: Make, context: Context) -> None:
    (draft,) = best_worst.build([make_evidence()], best_worst.Params(n=4, min_margin=0.1), context)
    assert draft.preference.chosen == "It is 68 degrees Fahrenheit today."
    assert draft.preference.margin > 0.1
    assert 0 < draft.preference.flip_probability <= 0.45


def test_one_prompt_asked_twice_is_sampled_once(make_evidence: Make, context: Context) -> None:
    one = make_evidence(1)
    again = replace(make_evidence(2), interaction=replace(one.interaction, interaction_id="i2"))
    assert len(list(best_worst.build([one, again], best_worst.Params(min_margin=0.0), context))) == 1


def test_a_margin_below_the_floor_and_a_single_answer_are_dropped(make_evidence: Make, context: Context) -> None:
    class Parrot:
        def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
            return [Sampled("Always this.", -1.0, 2)] * n

    params = best_worst.Params(min_margin=99.0)
    assert list(best_worst.build([make_evidence()], params, context)) == [Dropped("f1", "margin")]
    parrot = replace(context, sampler=Parrot())
    assert list(best_worst.build([make_evidence()], params, parrot)) == [Dropped("f1", "one_answer_only")]

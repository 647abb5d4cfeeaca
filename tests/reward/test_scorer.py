from __future__ import annotations

import math

import numpy as np
import pytest
from rejoinder.core.errors import EmptyField, NoSuchHead, TooLong
from rejoinder.core.types import Message, Role
from rejoinder.reward.heads.bt import BradleyTerry
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.runtime.batching.textmodel import NOBODY, Words

WORDS = Words(lambda texts: [[1] * len(text) for text in texts], 101, 102)
ASKED = [Message(Role.USER, "what?")]


class Lengths:
    """A model whose score is the answer's length over ten. owns: whom it has served."""

    digest = "d1"

    def __init__(self) -> None:
        self.callers = []

    async def infer(self, rows, output, caller=NOBODY):
        self.callers.append(caller)
        return np.array([(sum(row.types) - 1) / 10 for row in rows(WORDS)])


@pytest.fixture
def scorer():
    head = BradleyTerry({"budget": {"context": 100, "answer": 1000}})
    return Scorer([LoadedHead("bt", head, Lengths()), LoadedHead("other", head, Lengths())], max_responses=3)


async def test_scores_come_in_the_order_of_the_responses_with_head_and_digest(scorer):
    scored = await scorer.score("", ASKED, ["aaa", "", "a"])
    assert scored.scores == (0.3, 0.0, 0.1)
    assert (scored.head, scored.digest) == ("bt", "d1")
    assert (await scorer.score("other", ASKED, ["a"])).head == "other"


async def test_a_comparison_is_the_sigmoid_of_the_difference_and_exchanging_the_answers_gives_the_rest(scorer):
    ahead, _ = await scorer.compare("", ASKED, "a" * 30, "a" * 10)
    behind, _ = await scorer.compare("", ASKED, "a" * 10, "a" * 30)
    assert ahead == pytest.approx(1 / (1 + math.exp(-2.0)), abs=1e-12)
    assert ahead + behind == pytest.approx(1.0, abs=1e-12)


async def test_a_probability_never_reaches_zero_or_one(scorer):
    sure, _ = await scorer.compare("", ASKED, "a" * 900, "")
    none, _ = await scorer.compare("", ASKED, "", "a" * 900)
    assert 0.0 < none < sure < 1.0


@pytest.mark.parametrize(("messages", "responses"), [([], ["a"]), (ASKED, [])])
async def test_nothing_to_score_is_an_empty_field(scorer, messages, responses):
    with pytest.raises(EmptyField):
        await scorer.score("", messages, responses)


async def test_too_many_responses_are_refused_before_any_is_computed(scorer):
    with pytest.raises(TooLong):
        await scorer.score("", ASKED, ["a"] * 4)
    assert scorer.heads["bt"].model.callers == []


async def test_a_head_that_is_not_loaded_is_answered_with_those_that_are(scorer):
    with pytest.raises(NoSuchHead, match="bt, other"):
        await scorer.score("judge", ASKED, ["a"])


async def test_a_name_longer_than_an_error_can_carry_is_too_long(scorer):
    with pytest.raises(TooLong):
        await scorer.score("j" * 70_000, ASKED, ["a"])

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import EmptyField, InvalidArgument, TooLong, UnknownRow
from rejoinder.core.types import AttemptStatus, Interaction, Message, Role
from rejoinder.rerank.arrange import marginals
from rejoinder.rerank.rankers.identity import Identity
from rejoinder.rerank.reranker import Ask, Limits, Reranker


class Lengths:
    """A ranker that likes long candidates."""

    digest = "d1"

    async def score(self, context, query, candidates, caller):
        return np.array([len(c) / 4 for c in candidates])


class Log:
    """Keeps slates, or has lost its disk. owns: what it kept."""

    def __init__(self, keeps: bool = True) -> None:
        self.keeps = keeps
        self.slates: list[Interaction] = []

    async def __call__(self, interaction: Interaction) -> bool:
        if self.keeps:
            self.slates.append(interaction)
        return self.keeps


def reranker(log=None, told=None, **limits):
    rankers = {"length": Lengths(), "identity": Identity(None, None)}
    told = told if told is not None else []
    seeds = np.random.default_rng(0)
    return Reranker(rankers, log or Log(), Limits(**limits), ManualClock(), seeds, told.append)


ABOUT = Interaction(tenant="t", user_id="u", conversation_id="c", messages=(Message(Role.USER, "likes tea"),))
THREE = [("x", "a"), ("y", "aaa"), ("z", "aa")]


def shown(interaction):
    return [(c.id, c.position) for c in interaction.ranking.candidates]


async def test_the_slate_is_in_order_of_score_with_positions_from_one():
    slate = await reranker().rerank(Ask(ABOUT, "q", THREE))
    assert shown(slate) == [("y", 1), ("z", 2), ("x", 3)]
    assert [c.propensity for c in slate.ranking.candidates] == [1.0, 1.0, 1.0]
    assert (slate.served.version, slate.served.digest) == ("length", "d1")
    assert shown(await reranker().rerank(Ask(ABOUT, "q", THREE, top_n=1))) == [("y", 1)]
    assert shown(await reranker().rerank(Ask(ABOUT, "q", THREE, ranker="identity")))[0] == ("x", 1)


async def test_what_is_answered_is_what_was_logged_with_everything_an_estimate_needs_u14():
    log = Log()
    slate = await reranker(log).rerank(Ask(ABOUT, "q", THREE, top_n=2, temperature=0.5, seed=7))
    assert log.slates == [slate]
    assert (slate.tenant, slate.user_id, slate.conversation_id) == ("t", "u", "c")
    assert (slate.messages, slate.ranking.query, slate.status) == (ABOUT.messages, "q", AttemptStatus.COMPLETED)
    assert slate.accepted_at == slate.occurred_at is not None, "stamped here, as by the policy: quotas refuse no slate"
    assert (slate.sampling.temperature, slate.sampling.seed) == (0.5, 7)
    order = [[c for c, _ in THREE].index(c.id) for c in slate.ranking.candidates]
    scores = np.array([0.25, 0.75, 0.5])
    expected = marginals((scores - 0.75) / 0.5, np.array(order))
    assert [c.propensity for c in slate.ranking.candidates] == pytest.approx(expected.tolist())
    assert [c.score for c in slate.ranking.candidates] == scores[order].tolist()


async def test_a_log_that_is_away_delays_no_answer_and_its_loss_is_counted():
    told = []
    slate = await reranker(Log(keeps=False), told).rerank(Ask(ABOUT, "q", THREE))
    assert shown(slate)[0] == ("y", 1)
    await reranker(Log(), told).rerank(Ask(ABOUT, "q", THREE))
    assert told == [False, True]


async def test_without_a_seed_every_draw_is_fresh_and_says_which_seed_repeats_it():
    many = [(str(i), "same") for i in range(20)]
    one = reranker()
    first, second = [await one.rerank(Ask(ABOUT, "q", many, temperature=1.0)) for _ in range(2)]
    assert shown(first) != shown(second)
    again = await one.rerank(Ask(ABOUT, "q", many, temperature=1.0, seed=first.sampling.seed))
    assert shown(again) == shown(first)


async def test_a_callers_interaction_id_is_kept_and_attempts_and_events_are_always_new():
    one, ask = reranker(), Ask(Interaction(interaction_id="mine"), "q", THREE)
    first, second = await one.rerank(ask), await one.rerank(ask)
    assert first.interaction_id == second.interaction_id == "mine"
    assert len({first.attempt_id, second.attempt_id, first.event_id, second.event_id}) == 4


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"query": "  "}, EmptyField),
        ({"candidates": []}, EmptyField),
        ({"candidates": [("", "a")]}, EmptyField),
        ({"candidates": [("x", "a"), ("x", "b")]}, InvalidArgument),
        ({"candidates": [(str(i), "a") for i in range(5)]}, TooLong),
        ({"ranker": "oracle"}, UnknownRow),
        ({"temperature": -1.0}, InvalidArgument),
        ({"temperature": float("nan")}, InvalidArgument),
        ({"top_n": -1}, InvalidArgument),
        ({"temperature": 1.0}, TooLong),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_and_logged_nowhere(changed, error):
    log = Log()
    with pytest.raises(error):
        await reranker(log, max_candidates=4, max_drawn=2).rerank(
            Ask(**{"interaction": ABOUT, "query": "q", "candidates": THREE, **changed})
        )
    assert log.slates == []

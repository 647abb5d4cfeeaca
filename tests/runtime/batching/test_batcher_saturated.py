"""What the batcher does with three times what its model can compute: in virtual time, over a model that sleeps.

Demanded: at least 90 % of the peak goodput, admitted calls within their deadline at p99, refusals at once.
"""

from __future__ import annotations

import asyncio
import random

import pytest
from rejoinder.core.errors import DeadlineExceeded
from rejoinder.core.types import Message, Role
from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead, Scorer
from rejoinder.runtime.batching.batcher import Batcher
from rejoinder.runtime.batching.pace import Pace
from rejoinder.runtime.batching.textmodel import BatchSettings, Caller, TextModel

from loadtests.golden.model import FACTS, Cost, SleepingGraph, words
from loadtests.openloop.generator import Findings, Visit, generate
from loadtests.openloop.run import refusals
from loadtests.openloop.scenario import Scenario
from loadtests.openloop.tally import Tally
from loadtests.work.texts import text
from tests.virtualtime import VirtualLoop, virtual_loop

COST = Cost(batch_s=0.002, token_s=0.0001)
DEADLINE_S = 0.5
SECONDS = 4.0


class Callers:
    """Calls of the real scorer, as the chassis makes them: with a deadline that also ends them. Each step is named
    after its tenant. owns: the model."""

    def __init__(self, loop: VirtualLoop, tenant_of=lambda number: "shop", batch: BatchSettings | None = None) -> None:
        self.graph = SleepingGraph(COST, loop.spend)
        self._loop = loop
        self._tenant_of = tenant_of
        self.model = TextModel(self.graph, words(), FACTS, batch or BatchSettings(), loop)
        self._scorer = Scorer([LoadedHead("bt", HEADS["bt"].make(FACTS), self.model)], max_responses=16)

    async def visit(self, number: int, visit: Visit) -> None:
        draw = random.Random(number)
        asked, answer = [Message(Role.USER, text(draw, 20))], text(draw, 45)
        tenant = self._tenant_of(number)

        async def call(left_s: float) -> None:
            caller = Caller(tenant, self._loop.time() + left_s)
            try:
                async with asyncio.timeout(left_s):
                    await self._scorer.score("", asked, [answer], caller)
            except TimeoutError:
                raise DeadlineExceeded("the caller left") from None

        await visit.step(tenant, call)

    async def close(self) -> None:
        await self.model.close()


def offered(rate: float, **callers) -> tuple[Findings, SleepingGraph]:
    scenario = Scenario.model_validate(
        {
            "work": "reward",
            "arrivals": {"kind": "poisson", "rate": rate},
            "deadline_s": DEADLINE_S,
            "seconds": SECONDS,
            "warm_up_s": 1.0,
        }
    )

    async def whole(work: Callers) -> Findings:
        await work.model.start()
        found = await generate(work, scenario, begin=asyncio.get_running_loop().time())
        await work.close()
        return found

    with virtual_loop() as loop:
        work = Callers(loop, **callers)
        return loop.run_until_complete(whole(work)), work.graph


def goodput(tally: Tally) -> float:
    return tally.good / SECONDS


@pytest.fixture(scope="module")
def peak() -> float:
    """Goodput a second at the best of these rates."""
    return max(goodput(offered(rate)[0].tallies["shop"]) for rate in (105, 125))


def admitted(tally: Tally) -> int:
    return tally.offered - refusals(tally).count


def test_at_three_times_saturation_goodput_stays_and_who_is_admitted_is_answered_in_time(peak):
    found, graph = offered(3 * peak)
    tally = found.tallies["shop"]
    assert goodput(tally) >= 0.9 * peak
    assert tally.good >= 0.99 * admitted(tally)
    assert refusals(tally).at(99) < 0.005
    # Of what was computed nearly nothing was for nobody; the warm-up second's rows were computed too.
    assert tally.good * (SECONDS + 1.0) / SECONDS >= 0.93 * graph.rows


@pytest.mark.proof
def test_without_admission_by_deadline_the_same_load_is_answered_too_late(peak, monkeypatch):
    """The control: a bounded queue alone. Everybody waits for as long as they have and most of them in vain."""
    monkeypatch.setattr(Batcher, "check", lambda self, **request: None)
    monkeypatch.setattr(Pace, "batch_s", lambda self, padded_tokens: 0.0)
    found, graph = offered(3 * peak)
    tally = found.tallies["shop"]
    assert refusals(tally).count == 0
    assert tally.good < 0.5 * admitted(tally)
    assert tally.good * (SECONDS + 1.0) / SECONDS < 0.8 * graph.rows


def test_a_tenants_flood_takes_nothing_from_one_who_asks_for_less_than_a_share(peak):
    """Nine of ten calls are the flood's; the other tenant's third of the capacity is refused hardly ever."""
    found, _ = offered(3.3 * peak, tenant_of=lambda number: "flood" if number % 10 else "quiet")
    quiet, flood = found.tallies["quiet"], found.tallies["flood"]
    assert quiet.good >= 0.97 * quiet.offered
    assert flood.good < 0.5 * flood.offered
    assert goodput(quiet) + goodput(flood) >= 0.9 * peak

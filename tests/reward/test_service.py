from __future__ import annotations

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.reward.scorer import LoadedHead, Scored
from rejoinder.reward.service import RewardService, caller_of
from rejoinder.runtime.call import Call, Principal
from rejoinder.v1 import common_pb2, reward_pb2


class Constant:
    """A scorer that likes b. owns: what it was asked."""

    class Model:
        digest = "d1"

    class Head:
        shape = "scalar"

    default = "bt"
    heads = {"bt": LoadedHead("bt", Head(), Model()), "second": LoadedHead("second", Head(), Model())}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked = []

    async def score(self, head, messages, responses, caller):
        self.asked.append((head, list(messages), responses, caller))
        return Scored(tuple(float(n) for n in range(len(responses))), head or "bt", "d1")

    async def compare(self, head, messages, a, b, caller):
        return 0.25, await self.score(head, messages, [a, b], caller)


@pytest.fixture
def scorer():
    return Constant()


MESSAGES = [common_pb2.Message(role=common_pb2.ROLE_USER, content="hi")]


async def test_score_carries_scores_head_and_digest(scorer):
    request = reward_pb2.ScoreRequest(messages=MESSAGES, responses=["a", "b"])
    response = await RewardService(scorer).Score(request, Call.local())
    assert list(response.scores) == [0.0, 1.0]
    assert (response.head, response.digest) == ("bt", "d1")
    head, messages, responses, _ = scorer.asked[0]
    assert (head, [m.content for m in messages], responses) == ("", ["hi"], ["a", "b"])


async def test_compare_carries_the_probability(scorer):
    request = reward_pb2.CompareRequest(head="second", messages=MESSAGES, a="x", b="y")
    response = await RewardService(scorer).Compare(request, Call.local())
    assert (response.probability_a, response.head) == (0.25, "second")


async def test_list_heads_names_the_default(scorer):
    response = await RewardService(scorer).ListHeads(reward_pb2.ListHeadsRequest(), Call.local())
    assert [(h.name, h.shape, h.default_head) for h in response.heads] == [
        ("bt", "scalar", True),
        ("second", "scalar", False),
    ]


def test_jobs_of_ours_work_in_batch_class_and_applications_do_not():
    clock = ManualClock()
    job = Call(caller=Principal("round", frozenset({"internal"})), deadline=5.0, clock=clock)
    app = Call(caller=Principal("shop", frozenset({"app"})), clock=clock)
    assert (caller_of(job).background, caller_of(job).deadline, caller_of(job).tenant) == (True, 5.0, "round")
    assert not caller_of(app).background
    assert not caller_of(Call.local()).background

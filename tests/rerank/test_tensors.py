from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadEncoding, ForeignTenant, InvalidArgument
from rejoinder.core.types import Consent, Interaction
from rejoinder.rerank.rankers.identity import Identity
from rejoinder.rerank.reranker import Limits, Reranker
from rejoinder.rerank.tensors import tensor_models
from rejoinder.runtime.call import Call, Principal

TEXTS = {"query": ["q"], "candidates": ["a", "b", "c"]}


@pytest.fixture
def logged():
    return []


@pytest.fixture
def model(logged):
    async def record(interaction: Interaction) -> bool:
        logged.append(interaction)
        return True

    rankers = {"identity": Identity(None, None)}
    [model] = tensor_models(Reranker(rankers, record, Limits(), ManualClock(), np.random.default_rng(0)), rankers)
    return model


async def test_a_slate_is_logged_with_what_the_parameters_say_and_comes_back_by_place(model, logged):
    said = {"user_id": "u", "consent": "NO_TRAIN", "top_n": 2, "interaction_id": "i"}
    found = await model.infer({**TEXTS, "ids": ["x", "y", "z"], "user_context": ["likes tea"]}, said, Call.local())
    assert (found["index"], found["ids"], found["interaction_id"]) == ([0, 1], ["x", "y"], ["i"])
    assert found["propensities"] == [1.0, 1.0]
    [one] = logged
    assert (one.user_id, one.consent, one.ranking.query) == ("u", Consent.NO_TRAIN, "q")
    assert [message.content for message in one.messages] == ["likes tea"]
    assert set(found) == {output.name for output in model.outputs}


async def test_what_cannot_be_a_slate_is_refused_before_anything_is_logged(model, logged):
    shop = Call(caller=Principal("shop", frozenset({"app"}), frozenset({"default"})))
    for texts, said, error in (
        ({**TEXTS, "ids": ["x"]}, {}, BadEncoding),
        (TEXTS, {"consent": "yes"}, InvalidArgument),
        (TEXTS, {"top_n": 2**40}, InvalidArgument),
        (TEXTS, {"tenant": "other"}, ForeignTenant),
    ):
        with pytest.raises(error):
            await model.infer(texts, said, shop)
    assert logged == []

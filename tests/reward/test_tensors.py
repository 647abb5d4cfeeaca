from __future__ import annotations

import pytest
from rejoinder.core.errors import BadEncoding, UnknownEnum
from rejoinder.core.types import Role
from rejoinder.reward.scorer import LoadedHead, Scored
from rejoinder.reward.tensors import tensor_models
from rejoinder.runtime.call import Call, Principal


class Scores:
    """Scores by length. owns: what it was asked."""

    class Model:
        digest = "d1"

    heads = {"bt": LoadedHead("bt", None, Model())}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked = []

    async def score(self, head, messages, responses, caller):
        self.asked.append((head, [message.role for message in messages], caller))
        return Scored(tuple(float(len(response)) for response in responses), head, "d1")


async def test_a_head_is_a_model_whose_last_turn_is_the_users_unless_roles_say_otherwise():
    scorer = Scores()
    [model] = tensor_models(scorer)
    assert (model.name, model.version) == ("bt", "d1")
    job = Call(caller=Principal("round", frozenset({"internal"})))
    texts = {"context": ["a", "b", "c"], "responses": ["x", "yy"]}
    assert await model.infer(texts, {}, job) == {"scores": (1.0, 2.0)}
    await model.infer({**texts, "roles": ["SYSTEM", "USER", "TOOL"]}, {}, job)
    assert [roles for _, roles, _ in scorer.asked] == [
        [Role.USER, Role.ASSISTANT, Role.USER],
        [Role.SYSTEM, Role.USER, Role.TOOL],
    ]
    assert scorer.asked[0][2].background


@pytest.mark.parametrize(("roles", "error"), [(["USER"], BadEncoding), (["USER", "user"], UnknownEnum)])
async def test_roles_that_do_not_fit_the_turns_are_refused(roles, error):
    [model] = tensor_models(Scores())
    with pytest.raises(error):
        await model.infer({"context": ["a", "b"], "responses": ["x"], "roles": roles}, {}, Call.local())

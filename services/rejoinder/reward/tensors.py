"""Heads as models of the Open Inference Protocol: `context` (turns, oldest first, a user's last) and `responses` in,
`scores` out. `roles`: one of SYSTEM, USER, ASSISTANT, TOOL per turn; without it user and assistant alternate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rejoinder.core.errors import BadEncoding, UnknownEnum
from rejoinder.core.types import Message, Role
from rejoinder.reward.scorer import Scorer
from rejoinder.reward.service import caller_of
from rejoinder.runtime.call import Call
from rejoinder.runtime.openinference import Output, TensorModel, TextInput
from rejoinder.runtime.openinference.model import Value

_INPUTS = (TextInput("context"), TextInput("roles", required=False), TextInput("responses"))
_OUTPUTS = (Output("scores", "FP64"),)
_ROLES = {role.value: role for role in Role if role is not Role.UNSPECIFIED}


def tensor_models(scorer: Scorer) -> list[TensorModel]:
    return [
        TensorModel(name, loaded.model.digest, "rejoinder_reward", _INPUTS, _OUTPUTS, partial(_infer, scorer, name))
        for name, loaded in scorer.heads.items()
    ]


async def _infer(
    scorer: Scorer, head: str, texts: Mapping[str, list[str]], said: Mapping[str, Value], call: Call
) -> Mapping[str, Sequence[object]]:
    scored = await scorer.score(head, _messages(texts), texts["responses"], caller_of(call))
    return {"scores": scored.scores}


def _messages(texts: Mapping[str, list[str]]) -> list[Message]:
    turns = texts["context"]
    # Counted from the end: the last turn is the user's.
    names = texts.get("roles") or [("USER", "ASSISTANT")[(len(turns) - 1 - at) % 2] for at in range(len(turns))]
    if len(names) != len(turns):
        raise BadEncoding("roles are not as many as turns", field="roles")
    for at, name in enumerate(names):
        if name not in _ROLES:
            raise UnknownEnum("roles", at)
    return [Message(_ROLES[name], turn) for name, turn in zip(names, turns, strict=True)]

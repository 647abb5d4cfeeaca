"""gateway/chat: what is said is heard, whatever becomes of the answer; nobody listens where it is turned off."""

from __future__ import annotations

import json

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Unavailable
from rejoinder.core.types import Interaction
from rejoinder.gateway.asked import Asked
from rejoinder.gateway.chat import Chat
from rejoinder.gateway.guard import Answer, HttpCall
from rejoinder.runtime.call import LOCAL
from starlette.datastructures import Headers


class FakeFollowUps:
    def __init__(self) -> None:
        self.said: list[Interaction] = []

    def heard(self, said: Interaction) -> None:
        self.said.append(said)


class FakeUpstream:
    """Answers, or is away."""

    def __init__(self, away: bool) -> None:
        self.away = away

    async def chat(self, asked: Asked, call: HttpCall) -> Answer:
        if self.away:
            raise Unavailable("away")
        return Answer({})


BODY = json.dumps({"model": "assist", "messages": [{"role": "user", "content": "hi"}]}).encode()
CALL = HttpCall(Headers({"content-type": "application/json"}), BODY, {}, LOCAL, 60.0)


async def test_what_is_said_is_heard_also_while_nobody_answers() -> None:
    heard = FakeFollowUps()
    with pytest.raises(Unavailable):
        await Chat(FakeUpstream(away=True), ManualClock(), 8, heard).complete(CALL)  # type: ignore[arg-type]
    assert [said.messages[0].content for said in heard.said] == ["hi"]
    assert await Chat(FakeUpstream(away=False), ManualClock(), 8, None).complete(CALL) == Answer({})

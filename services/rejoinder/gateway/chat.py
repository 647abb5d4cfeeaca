"""`POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Protocol

from rejoinder.core.clock import Clock
from rejoinder.gateway.asked import Asked, asked_of
from rejoinder.gateway.followups import FollowUps
from rejoinder.gateway.guard import Answer, HttpCall, Stream, json_object


class Upstream(Protocol):
    """Who answers."""

    async def chat(self, asked: Asked, call: HttpCall) -> Answer | Stream: ...


class Chat:
    """owns: nothing. follow_ups: None where they are not looked for."""

    def __init__(self, upstream: Upstream, clock: Clock, max_choices: int, follow_ups: FollowUps | None = None) -> None:
        self._upstream = upstream
        self._clock = clock
        self._max_choices = max_choices
        self._follow_ups = follow_ups

    async def complete(self, call: HttpCall) -> Answer | Stream:
        assert call.caller is not None
        body = json_object(call)
        asked = asked_of(body, call.headers, call.caller, self._clock.now(), self._max_choices)
        if self._follow_ups is not None:
            # Said, whatever becomes of the answer to it.
            self._follow_ups.heard(asked.interaction)
        return await self._upstream.chat(asked, call)

"""gateway/guard: how often a caller may come, by name or by address, and at what point that is judged."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.metrics import Metrics
from rejoinder.gateway.guard import CROWDED, Answer, Guard, HttpCall
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import authenticator
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.settings import AuthSettings, RateSettings
from rejoinder.runtime.tracing import tracer

PRINCIPALS = """
- {principal: chat, token: app-token, roles: [app]}
- {principal: chat, token: new-token, roles: [app]}
- {principal: other, token: other-token, roles: [app]}
- {principal: ours, token: our-token, roles: [app, internal]}
"""
APP = frozenset({"app"})


class World:
    """owns: one guarded route that says how often it was reached. Anonymous callers pass."""

    def __init__(self, folder: Path, **rate: float) -> None:
        self.clock, self.metrics, self.reached = ManualClock(), Metrics(), 0
        file = folder / "principals.yaml"
        file.write_text(PRINCIPALS)
        guard = Guard(
            auth=authenticator(AuthSettings(file=file), "127.0.0.1", lambda error: None, self.clock),
            rates=Rates(RateSettings(burst_s=1.0, **rate), self.clock, self.metrics),
            admission=Admission(10, 0.1, self.metrics),
            tracer=tracer(),
            metrics=self.metrics,
            clock=self.clock,
            log=EventLog(logging.Logger("gateway", logging.CRITICAL)),
            head_bytes=16_384,
            body_s=60.0,
            max_call_s=60.0,
        )
        guard.open()
        self._route = guard.route("POST /", self._handler, APP, 1_000, anonymous=True)

    async def _handler(self, call: HttpCall) -> Answer:
        self.reached += 1
        return Answer({})

    async def sent(
        self, token: str = "", body: bytes = b"{}", peer: str = "10.0.0.1", state: Any = None
    ) -> httpx.Response:
        async def on(scope: Any, receive: Any, send: Any) -> None:
            await self._route({**scope, "state": state or {}}, receive, send)

        transport = httpx.ASGITransport(on, client=(peer, 5000))
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post("/", content=body, headers=headers)


async def test_who_comes_too_often_is_told_when_to_come_again_as_openai_tells_it(tmp_path: Path) -> None:
    world = World(tmp_path, principal_per_s=0.5, address_per_s=50)
    assert (await world.sent("app-token")).status_code == 200
    refused = await world.sent("app-token")
    assert (refused.status_code, refused.headers["retry-after"], refused.headers["retry-after-ms"]) == (
        429,
        "2",
        "2000",
    )
    assert refused.json()["error"] == {
        "message": "calls come faster than this caller may send them",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert (await world.sent("new-token")).status_code == 429, "another token of the same caller"
    assert (await world.sent("other-token")).status_code == 200
    assert [(await world.sent("our-token")).status_code for _ in range(3)] == [200] * 3
    world.clock.advance(2.0)
    assert (await world.sent("app-token")).status_code == 200
    assert world.metrics.value("rpc_limited_total", by="principal") == 2


async def test_a_refused_request_is_not_read_and_a_stranger_is_told_that_first(tmp_path: Path) -> None:
    world = World(tmp_path, principal_per_s=0.5)
    await world.sent("app-token")
    assert (await world.sent("app-token", b"x" * 5_000)).status_code == 429, "its length was not looked at"
    assert (await world.sent("guessed")).status_code == 401
    assert world.reached == 1


@pytest.mark.parametrize("first", ["10.0.0.1", "2001:db8::1"])
async def test_pages_are_limited_by_their_address(tmp_path: Path, first: str) -> None:
    world = World(tmp_path, address_per_s=2)
    assert [(await world.sent(peer=first)).status_code for _ in range(3)] == [200, 200, 429]
    assert (await world.sent(peer="10.0.0.9")).status_code == 200
    assert (await world.sent("app-token", peer=first)).status_code == 200
    assert json.loads((await world.sent(peer=first)).text)["error"]["code"] == "rate_limit_exceeded"


async def test_where_there_are_too_many_connections_the_next_is_told_so_as_openai_tells_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    refused = await world.sent("guessed", state={CROWDED: True})
    assert (refused.status_code, refused.headers["retry-after"], refused.headers["connection"]) == (503, "1", "close")
    assert refused.json()["error"]["code"] == "unavailable"
    assert (await world.sent("app-token")).status_code == 200

"""An OpenAI-compatible server behind the gateway: requests to it, what it lists, the adapters that it is told of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rejoinder.core.errors import QueueFull, Unavailable
from rejoinder.gateway.arms import Known, Listed
from rejoinder.gateway.errors import UpstreamRefused
from rejoinder.gateway.guard import TRACE
from rejoinder.gateway.meter import Meter
from rejoinder.gateway.settings import OpenAiUpstream
from rejoinder.gateway.wire import Wire
from rejoinder.runtime.logging import EventLog

#: Seconds that an idle connection to the server is kept: less than servers keep theirs (vLLM, uvicorn: 5), or a request
#: meets its end.
_IDLE_S = 4.0
#: Seconds to list its models; to load or let go an adapter.
_LIST_S, _LOAD_S = 5.0, 60.0


@dataclass(frozen=True)
class Card:
    """A model as the server lists it. root: its path there. parent: the base that it adapts, "" of a base itself, which
    has a card for each of its names."""

    id: str
    root: str = ""
    parent: str = ""


def wire_of(settings: OpenAiUpstream) -> Wire:
    """No proxy of the environment and no redirect: words go where the settings say."""
    return Wire(settings.max_connections, _IDLE_S)


class OpenAiServer:
    """Requests to the server. owns: nothing; the wire is closed by whoever made it. connect_s: seconds to connect."""

    def __init__(
        self, wire: httpx.AsyncBaseTransport, url: str, key_file: Path | None, meter: Meter, connect_s: float = 2.0
    ) -> None:
        self._wire = wire
        paths = ("chat/completions", "models", "load_lora_adapter", "unload_lora_adapter")
        self._chat, self._models, self._load, self._unload = (httpx.URL(f"{url.rstrip('/')}/{path}") for path in paths)
        self._key_file = key_file
        self._meter = meter
        # How long an answer may take is the caller's and the guard's matter.
        self._patient = {"timeout": {"connect": connect_s, "pool": connect_s, "read": None}}

    async def chat(self, body: dict[str, Any], request_id: str) -> httpx.Response:
        """The response as far as its headers. Raises Unavailable where nobody answers, QueueFull where every
        connection is in use, UpstreamRefused where it broke off while it was at it."""
        try:
            own = self._headers()
        except OSError:
            raise Unavailable("the server's key cannot be read now", retry_after_s=1.0) from None
        content = _json(body)
        headers = {"content-type": "application/json", "x-request-id": request_id, **own}
        request = httpx.Request("POST", self._chat, content=content, headers=headers, extensions=self._patient)
        try:
            return await self._wire.handle_async_request(request)
        except httpx.PoolTimeout:
            raise QueueFull("every connection to the server behind the gateway is in use", retry_after_s=1.0) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._meter.upstream_failed("away")
            raise Unavailable(
                "the server behind the gateway cannot be reached", retry_after_s=1.0, kind=type(error).__name__
            ) from None
        except httpx.HTTPError:
            self._meter.upstream_failed("broke_off")
            raise UpstreamRefused("the server behind the gateway broke off") from None

    async def listed(self) -> Listed:
        """Its models. Raises httpx.HTTPError, ValueError."""
        return Listed(frozenset(card.id for card in await self.cards()))

    async def cards(self) -> list[Card]:
        """Its models. Raises httpx.HTTPError, ValueError."""
        status, body = await self._told("GET", self._models, b"", _LIST_S)
        if status != 200:
            raise ValueError(f"the server answered {status}")
        said = json.loads(body)["data"]
        return [
            Card(each["id"], *(_text(each.get(name)) for name in ("root", "parent")))
            for each in said
            if isinstance(each["id"], str)
        ]

    async def load_adapter(self, name: str, path: str) -> str:
        """ "" once the adapter is there, also where it was before; else why not. Raises httpx.HTTPError."""
        status, body = await self._told("POST", self._load, _json({"lora_name": name, "lora_path": path}), _LOAD_S)
        # Another gateway may have been first; whose adapter it is, the list tells.
        return "" if status == 200 or (status == 400 and b"already been" in body) else f"load answered {status}"

    async def unload_adapter(self, name: str) -> str:
        """ "" once the adapter is gone, also where it was not there; else why not. Raises httpx.HTTPError."""
        status, _ = await self._told("POST", self._unload, _json({"lora_name": name}), _LOAD_S)
        return "" if status in (200, 404) else f"unload answered {status}"

    async def _told(self, method: str, url: httpx.URL, content: bytes, limit_s: float) -> tuple[int, bytes]:
        times = {"timeout": dict.fromkeys(("connect", "pool", "read"), limit_s)}
        headers = {**self._headers(), **({"content-type": "application/json"} if content else {})}
        request = httpx.Request(method, url, content=content, headers=headers, extensions=times)
        try:
            # All of it together: the wire's limits are each phase's own, and each part's.
            async with asyncio.timeout(limit_s):
                response = await self._wire.handle_async_request(request)
                try:
                    return response.status_code, await response.aread()
                finally:
                    await response.aclose()
        except TimeoutError:
            raise httpx.ReadTimeout("the server takes too long") from None

    def _headers(self) -> dict[str, str]:
        headers = {
            "accept": "*/*",
            "user-agent": "rejoinder",
            "accept-encoding": "identity",
            "traceparent": TRACE.get(),
        }
        if self._key_file is not None:
            headers["authorization"] = f"Bearer {self._key_file.read_text(encoding='utf-8').strip()}"
        return {name: value for name, value in headers.items() if value}


class Watch:
    """Asks again and again which models there are; a server that is away changes nothing. owns: what it last said of
    such a one."""

    def __init__(self, look: Callable[[], Awaitable[Listed]], known: Known, every_s: float, events: EventLog) -> None:
        self._look = look
        self._known = known
        self._every_s = every_s
        self._events = events
        self._said = ""

    async def once(self) -> None:
        try:
            self._known.listed(await self._look())
            self._said = ""
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            if self._said != (said := type(error).__name__):
                self._said = said
                self._events.warning("models_not_listed", reason=said)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.once()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

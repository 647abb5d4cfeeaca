"""An OpenAI-compatible server behind the gateway: arms are drawn and answers recorded here, the rest passes through.

The end of an answer is held until its record is on disk, so that whatever a caller saw completed is in the log; every
other byte goes on as it comes. A reader that is slow slows the server down, one that leaves ends its request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from rejoinder.core.clock import Clock
from rejoinder.core.errors import QueueFull, Unavailable
from rejoinder.core.ids import uuid7
from rejoinder.core.types import ArmKind, Interaction, Served
from rejoinder.gateway import sse
from rejoinder.gateway.adapters import Card
from rejoinder.gateway.arms import Drawing, Known
from rejoinder.gateway.asked import Asked
from rejoinder.gateway.attempt import Attempt
from rejoinder.gateway.errors import ModelNotFound, UpstreamAnswered, UpstreamRefused
from rejoinder.gateway.guard import TRACE, Answer, HttpCall, Stream
from rejoinder.gateway.marks import FIELD, Marker, Marks
from rejoinder.gateway.meter import Meter
from rejoinder.gateway.settings import OpenAiUpstream
from rejoinder.gateway.wire import Wire
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.spool import Spool

#: Bytes of an answer, and of an error.
_MAX_BODY, _MAX_ERROR = 64 * 1024 * 1024, 64 * 1024
#: Seconds that an idle connection to the server is kept: less than servers keep theirs (vLLM, uvicorn: 5), or a request
#: meets its end.
_IDLE_S = 4.0
#: Seconds to list its models; to load or let go an adapter.
_LIST_S, _LOAD_S = 5.0, 60.0
#: Statuses by which a server says that it did not begin: no attempt, as a full queue of ours is none.
_NOT_BEGUN = frozenset({408, 429, 503})
#: Statuses that are about our own credentials or address, which no caller can mend.
_OURS = frozenset({401, 403, 407})


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

    async def models(self) -> list[str]:
        """Names of its models. Raises httpx.HTTPError, ValueError."""
        return [card.id for card in await self.cards()]

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
        response = await self._wire.handle_async_request(request)
        try:
            return response.status_code, await response.aread()
        finally:
            await response.aclose()

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


class Forward:
    """The upstream. owns: nothing; what it uses is the process's."""

    def __init__(
        self,
        server: OpenAiServer,
        drawing: Drawing,
        known: Known,
        record: Spool,
        marker: Marker,
        meter: Meter,
        clock: Clock,
        names: frozenset[str],
        settings: OpenAiUpstream,
    ) -> None:
        self._server = server
        self._drawing = drawing
        self._known = known
        self._record = record
        self._marker = marker
        self._meter = meter
        self._clock = clock
        self._names = names
        self._settings = settings
        # Others answer under names of their own making.
        self._checked = settings.server == "vllm"

    def other_models(self) -> list[str]:
        """Names beside the policy's; its versions are nobody's to choose."""
        if not self._settings.other_models:
            return []
        return sorted(self._known.models - self._known.named - self._names)

    async def chat(self, asked: Asked, call: HttpCall) -> Answer | Stream:
        said = asked.interaction
        said = replace(said, interaction_id=said.interaction_id or uuid7(self._clock.now()))
        served, model = self._who(asked, said, call)

        def late() -> bool:
            return self._clock.monotonic() >= call.deadline

        passing = await self._begun(asked, said, served, model, late)
        attempt = passing.attempt
        marks = self._marker.of(said, attempt.interaction_id, attempt.attempt_ids, attempt.served.version)
        if asked.stream:
            return Stream(self._events(asked, passing, marks), marks.headers, passing.close)
        try:
            with passing.failing():
                return await self._whole(passing, marks)
        finally:
            await passing.close()

    def _who(self, asked: Asked, said: Interaction, call: HttpCall) -> tuple[Served, str]:
        """Who answers, and the server's name for it."""
        if asked.model in self._names:
            served = self._drawing.draw(said)
            return served, self._drawing.model_of(served)
        # Whoever names a version chooses an arm.
        internal = call.caller is not None and "internal" in call.caller.roles
        if not self._settings.other_models or (asked.model in self._known.named and not internal):
            raise ModelNotFound
        return Served(policy=asked.model, version=asked.model, arm=ArmKind.STABLE, propensity=1.0), asked.model

    async def _begun(
        self, asked: Asked, said: Interaction, served: Served, model: str, late: Callable[[], bool]
    ) -> _Passing:
        """The attempt that began, under the version that it is from. Raises UpstreamAnswered for the server's own
        refusal, and what the server raises."""
        attempt = Attempt(said, served, asked.n, self._clock)
        response = await self._answered(asked, attempt, model, late)
        tried = served.arm in (ArmKind.CANARY, ArmKind.BASELINE)
        if response.status_code == 404 and tried:
            # The adapter was let go between two lists: nothing was said yet, so stable answers.
            await response.aclose()
            return await self._stable_instead(asked, said, served, model, late)
        if response.status_code == 404 and self._checked and asked.model in self._names:
            await response.aclose()
            self._known.lost(model)
            raise Unavailable("the server behind the gateway has lost the version", retry_after_s=1.0)
        if response.status_code != 200:
            try:
                await self._refused(attempt, response)
            finally:
                await response.aclose()
        passing = _Passing(attempt, response, self._record, late)
        if not self._checked:
            return passing
        try:
            told = await passing.model(asked.stream)
        except BaseException:
            await passing.close()
            raise
        if told in ("", model):
            return passing
        if tried and not self._drawing.is_stable(told):
            await passing.unsaid()
            return await self._stable_instead(asked, said, served, model, late)
        self._known.lost(model)
        # The words are good; they are recorded as what they are.
        own = Served(policy=told, version=told, arm=ArmKind.STABLE, propensity=1.0)
        attempt.was(self._drawing.stable_instead(served) if self._drawing.is_stable(told) else own)
        return passing

    async def _stable_instead(
        self, asked: Asked, said: Interaction, served: Served, model: str, late: Callable[[], bool]
    ) -> _Passing:
        """Nothing was said yet of what the server turned out not to have, so stable answers."""
        self._known.lost(model)
        served = self._drawing.stable_instead(served)
        return await self._begun(asked, said, served, self._drawing.model_of(served), late)

    async def _answered(self, asked: Asked, attempt: Attempt, model: str, late: Callable[[], bool]) -> httpx.Response:
        """The response as far as its headers, which of a whole answer come with its end: what becomes of it until then
        is the attempt's."""
        try:
            return await self._server.chat(self._body(asked, model), attempt.attempt_ids[0])
        except (UpstreamRefused, asyncio.CancelledError) as error:
            failure = "UNAVAILABLE" if isinstance(error, UpstreamRefused) else "DEADLINE_EXCEEDED" if late() else ""
            for record in attempt.records(failure, cancelled=True):
                self._record.put(record)
            raise

    async def _refused(self, attempt: Attempt, response: httpx.Response) -> None:
        """Raises what the caller is told; a server that broke down while it was at it has made an attempt."""
        status = response.status_code
        self._meter.upstream_failed(f"{status // 100}xx")
        if status >= 500 and status not in _NOT_BEGUN:
            for record in attempt.records("UNAVAILABLE"):
                self._record.put(record)
        if status < 400 or status in _OURS:
            raise UpstreamRefused("the server behind the gateway does not take its requests", upstream=status)
        wait = response.headers.get("retry-after", "")
        body = await _read(response, _MAX_ERROR)
        raise UpstreamAnswered(status, _error_object(body, status), wait if wait.isascii() and len(wait) < 64 else "")

    def _body(self, asked: Asked, model: str) -> dict[str, Any]:
        body = {**asked.body, "model": model}
        if asked.stream and self._settings.ask_usage:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return body

    async def _whole(self, passing: _Passing, marks: Marks) -> Answer:
        data = await passing.read()
        said = _object(data)
        passing.attempt.take(said)
        passing.attempt.end()
        self._meter.first_text(passing.attempt.first)
        await passing.finished()
        return Answer({**said, FIELD: marks.field}, headers=marks.headers)

    async def _events(self, asked: Asked, passing: _Passing, marks: Marks) -> AsyncIterator[bytes]:
        with passing.failing():
            async for line in self._lines(asked, passing, marks):
                yield line

    async def _lines(self, asked: Asked, passing: _Passing, marks: Marks) -> AsyncIterator[bytes]:
        attempt, held, first, done = passing.attempt, [], True, False
        async for data in passing.data():
            if data.strip() == "[DONE]":
                done = True
                attempt.end()
                break
            said = _object(data)
            if said.get("error"):
                passing.failure = "UNAVAILABLE"
                yield sse.event(said)
                return
            attempt.take(said)
            if not said.get("choices") and said.get("usage") and not asked.include_usage:
                continue
            if first:
                self._meter.first_text(attempt.first)
                first, data = False, json.dumps({**said, FIELD: marks.field}, ensure_ascii=False, separators=(",", ":"))
            line = b"data: " + data.replace("\n", "\ndata: ").encode("utf-8", "replace") + b"\n\n"
            # Whatever tells the caller that the answer is whole waits for the record.
            if attempt.finished:
                held.append(line)
            else:
                yield line
        if not attempt.finished:
            raise UpstreamRefused("the server behind the gateway broke off")
        await passing.finished()
        if done:
            held.append(sse.DONE)
        for line in held:
            yield line


class _Passing:
    """An answer on its way through. owns: the response; failure: why it counts as failed, "" while it does not.

    late: whether its time is over.
    """

    def __init__(self, attempt: Attempt, response: httpx.Response, record: Spool, late: Callable[[], bool]) -> None:
        self.attempt = attempt
        self._late = late
        self.failure = ""
        self._response = response
        self._record = record
        self._over = False
        self._body: bytes | None = None
        self._events: AsyncIterator[str] | None = None
        self._first: list[str] = []

    async def model(self, stream: bool) -> str:
        """What the server says that the answer is from, "" where it does not. A stream is read as far as its first
        event, anything else to its end. Raises UpstreamRefused."""
        with self.failing():
            if stream:
                first = await anext(self.data(), None)
                self._first += [] if first is None else [first]
            else:
                self._body = await self.read()
        data = self._body if self._body is not None else "".join(self._first)
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            return ""
        return _text(said.get("model")) if isinstance(said, dict) else ""

    async def unsaid(self) -> None:
        """Nobody was told a word of the answer: it is no attempt."""
        self._over = True
        await self.close()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Whatever the server sends that is no answer, or no more of one, is its own failure."""
        try:
            yield
        except UpstreamRefused:
            self.failure = "UNAVAILABLE"
            raise

    async def read(self) -> bytes:
        return await _read(self._response, _MAX_BODY) if self._body is None else self._body

    async def data(self) -> AsyncIterator[str]:
        size = 0
        for data in self._first:
            size += len(data)
            yield data
        if self._events is None:
            self._events = sse.data_of(self._response.aiter_bytes())
        try:
            async for data in self._events:
                size += len(data)
                if size > _MAX_BODY:
                    raise UpstreamRefused("the server behind the gateway sent too long an answer")
                yield data
        except httpx.HTTPError:
            raise UpstreamRefused("the server behind the gateway broke off") from None

    async def finished(self) -> None:
        """Returns when every choice is on disk, or was counted as lost."""
        puts = [self._record.put(record) for record in self.attempt.records()]
        # From here on it is recorded as completed, also when the caller leaves while the disk is at it.
        self._over = True
        await asyncio.gather(*map(asyncio.wrap_future, puts))

    async def close(self) -> None:
        """Ends the request; an answer that was cut short is recorded as such. Nobody waits for that."""
        if not self._over:
            self._over = True
            failure = self.failure or ("DEADLINE_EXCEEDED" if self._late() else "")
            for record in self.attempt.records(failure, cancelled=True):
                self._record.put(record)
        with suppress(httpx.HTTPError):
            await self._response.aclose()


async def watch(
    models: Callable[[], Awaitable[list[str]]], known: Known, every_s: float, events: EventLog, stop: asyncio.Event
) -> None:
    """Asks again and again which models there are; a server that is away changes nothing."""
    said = ""
    while not stop.is_set():
        try:
            known.listed(await models())
            said = ""
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            if said != (said := type(error).__name__):
                events.warning("models_not_listed", reason=said)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)


async def _read(response: httpx.Response, most: int) -> bytes:
    parts = bytearray()
    try:
        async for part in response.aiter_bytes():
            parts += part
            if len(parts) > most:
                raise UpstreamRefused("the server behind the gateway sent too long an answer")
    except httpx.HTTPError:
        raise UpstreamRefused("the server behind the gateway broke off") from None
    return bytes(parts)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(data: bytes | str) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise UpstreamRefused("the server behind the gateway sent what is no answer")
    return said


def _error_object(body: bytes, status: int) -> dict[str, Any]:
    """OpenAI's error, also where the server has another shape."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and isinstance(said.get("error"), dict):
        return said
    # vLLM before 0.10 puts the error's fields at the top.
    fields = said if isinstance(said, dict) else {}
    message = (
        fields.get("message") if isinstance(fields.get("message"), str) else "the upstream server refused the request"
    )
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": fields.get("param"), "code": fields.get("code")}}

"""An OpenAI-compatible server behind the gateway: arms are drawn and answers recorded here, the rest passes through.

The end of an answer is held until its record is on disk, so that whatever a caller saw completed is in the log; every
other byte goes on as it comes. A reader that is slow slows the server down, one that leaves ends its request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, NoReturn

import httpx

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Unavailable
from rejoinder.core.ids import uuid7
from rejoinder.core.types import ArmKind, Interaction, Served
from rejoinder.gateway import sse
from rejoinder.gateway.arms import Drawing, Known
from rejoinder.gateway.asked import Asked
from rejoinder.gateway.attempt import Attempt
from rejoinder.gateway.errors import ModelNotFound, UpstreamAnswered, UpstreamRefused
from rejoinder.gateway.guard import Answer, HttpCall, Stream
from rejoinder.gateway.marks import FIELD, Marker, Marks
from rejoinder.gateway.meter import Meter
from rejoinder.gateway.openai_server import OpenAiServer
from rejoinder.gateway.passing import Passing, answer_of, object_of, read
from rejoinder.gateway.settings import OpenAiUpstream
from rejoinder.runtime.spool import Spool

#: Bytes of an error.
_MAX_ERROR = 64 * 1024
#: Statuses by which a server says that it did not begin: no attempt, as a full queue of ours is none.
_NOT_BEGUN = frozenset({408, 429, 503})
#: Statuses that are about our own credentials or address, which no caller can mend.
_OURS = frozenset({401, 403, 407})
#: Arms beside stable: where their version is not there, stable answers.
_TRIED = frozenset({ArmKind.CANARY, ArmKind.BASELINE})


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
    ) -> Passing:
        """The attempt that began, under the version that it is from. Raises UpstreamAnswered for the server's own
        refusal, and what the server raises."""
        attempt = Attempt(said, served, asked.n, self._clock)
        response = await self._answered(asked, attempt, model, late)
        if response.status_code == 404 and self._is_lost(asked, served):
            await response.aclose()
            return await self._stable_instead(asked, said, served, model, late)
        if response.status_code != 200:
            await self._refused(attempt, response)
        passing = Passing(attempt, response, self._record, late)
        if self._checked and not await self._may_stay(asked, passing, model):
            await passing.unsaid()
            return await self._stable_instead(asked, said, served, model, late)
        return passing

    def _is_lost(self, asked: Asked, served: Served) -> bool:
        """Whether a 404 is about a version of ours: an adapter that was let go between two lists. Others' servers
        answer it to what applications ask for, too."""
        return served.arm in _TRIED or (self._checked and asked.model in self._names)

    async def _may_stay(self, asked: Asked, passing: Passing, model: str) -> bool:
        """Whether the words are good: those of another model than was asked for are recorded as what they are, but
        for a tried version's that are not even stable's. Raises UpstreamRefused."""
        try:
            told = await passing.model(asked.stream)
        except BaseException:
            await passing.close()
            raise
        if told == "" or self._known.same(told, model):
            return True
        self._known.lost(model)
        if asked.model in self._names:
            self._meter.answered_by_another(model, told)
        served, stable = passing.attempt.served, self._drawing.is_stable(told)
        if served.arm in _TRIED and not stable:
            return False
        own = Served(policy=told, version=told, arm=ArmKind.STABLE, propensity=1.0)
        passing.attempt.was(self._drawing.stable_instead(served) if stable else own)
        return True

    async def _stable_instead(
        self, asked: Asked, said: Interaction, served: Served, model: str, late: Callable[[], bool]
    ) -> Passing:
        """Nothing was said yet of what the server turned out not to have, so stable answers. Raises Unavailable where
        that is what it has lost."""
        self._known.lost(model)
        if served.arm not in _TRIED:
            raise Unavailable("the server behind the gateway has lost the version", retry_after_s=1.0)
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

    async def _refused(self, attempt: Attempt, response: httpx.Response) -> NoReturn:
        """Raises what the caller is told; a server that broke down while it was at it has made an attempt."""
        status = response.status_code
        self._meter.upstream_failed(f"{status // 100}xx")
        if status >= 500 and status not in _NOT_BEGUN:
            for record in attempt.records("UNAVAILABLE"):
                self._record.put(record)
        try:
            if status < 400 or status in _OURS:
                raise UpstreamRefused("the server behind the gateway does not take its requests", upstream=status)
            wait = response.headers.get("retry-after", "")
            body = await read(response, _MAX_ERROR)
        finally:
            await response.aclose()
        raise UpstreamAnswered(status, _error_object(body, status), wait if wait.isascii() and len(wait) < 64 else "")

    def _body(self, asked: Asked, model: str) -> dict[str, Any]:
        body = {**asked.body, "model": model}
        if asked.stream and self._settings.ask_usage:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return body

    async def _whole(self, passing: Passing, marks: Marks) -> Answer:
        data = await passing.read()
        said = answer_of(data)
        passing.attempt.take(said)
        passing.attempt.end()
        self._meter.first_text(passing.attempt.first)
        await passing.finished()
        return Answer({**said, FIELD: marks.field}, headers=marks.headers)

    async def _events(self, asked: Asked, passing: Passing, marks: Marks) -> AsyncIterator[bytes]:
        with passing.failing():
            async for line in self._lines(asked, passing, marks):
                yield line

    async def _lines(self, asked: Asked, passing: Passing, marks: Marks) -> AsyncIterator[bytes]:
        attempt, held, first, done = passing.attempt, [], True, False
        async for data in passing.data():
            if data.strip() == "[DONE]":
                done = True
                attempt.end()
                break
            said = answer_of(data)
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


def _error_object(body: bytes, status: int) -> dict[str, Any]:
    """OpenAI's error, also where the server has another shape."""
    # vLLM before 0.10 puts the error's fields at the top.
    fields = object_of(body) or {}
    if isinstance(fields.get("error"), dict):
        return fields
    message = (
        fields.get("message") if isinstance(fields.get("message"), str) else "the upstream server refused the request"
    )
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": fields.get("param"), "code": fields.get("code")}}

"""An OpenAI-compatible server on loopback: real HTTP, answers that a test can know, models that come and go."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from rejoinder.gateway.server import bind
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class Upstream:
    """owns: what it was asked, which models it has.

    A message that begins with a word below gets what the word says, any other `<model>: <message>` in three pieces.
    """

    def __init__(self) -> None:
        self.models = ["assist-base", "other"]
        self.asked: list[dict[str, Any]] = []
        self.left = threading.Event()
        self.waits = threading.Event()
        self.url = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append({**body, "headers": dict(request.headers)})
        head = _head(body, len(self.asked))
        last = body["messages"][-1]["content"]
        if body["model"] not in self.models:
            return _error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        if last == "refuse":
            return _error(400, "This model's maximum context length is 10 tokens.", "context_length_exceeded")
        if last == "busy":
            return JSONResponse(_object("try later", "rate_limit_exceeded"), 429, {"retry-after": "7"})
        if last == "break":
            return _error(500, "the engine died", "internal")
        if last == "unauthorised":
            return _error(401, "Incorrect API key provided", "invalid_api_key")
        if body.get("tools") and body["messages"][-1]["role"] == "user":
            message = {"role": "assistant", "content": None, "tool_calls": [_call("weather", '{"city": "Bern"}')]}
            pieces, finish = [message], "tool_calls"
        else:
            text = f"{body['model']}: {last}"
            pieces = [{"content": part} for part in (text[:3], text[3:6], text[6:]) if part]
            message, finish = {"role": "assistant", "content": text}, "stop"
        n = body.get("n") or 1
        if body.get("stream"):
            usage = (body.get("stream_options") or {}).get("include_usage", False)
            return StreamingResponse(self._stream(head, body, pieces, finish, n, usage), media_type="text/event-stream")
        others = [{**message, "content": f"{message['content']}, or {index}"} for index in range(1, n)]
        choices = [
            {"index": index, "message": each, "finish_reason": finish, "logprobs": None}
            for index, each in enumerate([message, *others])
        ]
        return JSONResponse({**head, "object": "chat.completion", "choices": choices, "usage": _usage(n)})

    async def _stream(
        self,
        head: dict[str, Any],
        body: dict[str, Any],
        pieces: list[dict[str, Any]],
        finish: str,
        n: int,
        usage: bool,
    ) -> AsyncIterator[bytes]:
        head = {**head, "object": "chat.completion.chunk"}
        last = body["messages"][-1]["content"]
        for index in range(n):
            yield _event({**head, "choices": [_choice(index, {"role": "assistant", "content": ""})]})
        for piece in pieces:
            for index in range(n):
                if "tool_calls" in piece:
                    piece = {"tool_calls": [{"index": 0, **piece["tool_calls"][0]}]}
                yield _event({**head, "choices": [_choice(index, piece)]})
        if last == "cut":
            return
        if last == "wait":
            self.waits.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if last == "flood":
            while True:
                yield _event({**head, "choices": [_choice(0, {"content": "x" * 65536})]})
                # A send to whoever has left waits for nothing, and its end would never be heard of.
                await asyncio.sleep(0)
                self.asked[-1]["sent"] = self.asked[-1].get("sent", 0) + 65536
        for index in range(n):
            yield _event({**head, "choices": [_choice(index, {}, finish)]})
        if usage:
            yield _event({**head, "choices": [], "usage": _usage(n)})
        yield b"data: [DONE]\n\n"


@contextmanager
def serving(upstream: Upstream) -> Iterator[Upstream]:
    """The server in a thread of its own, ended with the block."""
    sock = bind("127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
    config = uvicorn.Config(upstream.app(), lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])), name="upstream")
    thread.start()
    try:
        yield upstream
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()
        assert not thread.is_alive()


def _call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def _head(body: dict[str, Any], number: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "created": 1, "model": body["model"]}


def _choice(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage(n: int) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": 3 * n, "total_tokens": 5 + 3 * n}


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _object(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _error(status: int, message: str, code: str) -> Response:
    return JSONResponse(_object(message, code), status)

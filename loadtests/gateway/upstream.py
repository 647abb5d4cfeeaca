"""The bare server: an OpenAI-compatible one whose answer is what was asked, after a time that is known.

`python -m loadtests.gateway.upstream ANSWER_S READY`. It parses no more of HTTP than callers here send, so that what it
costs is little beside what is measured. A stream comes in eight pieces, spread evenly over the same time.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from loadtests.processes import say_ready

MODEL = "assist-base"
PIECES = 8


class _Connection(asyncio.Protocol):
    """owns: what has come of the next request."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._loop = asyncio.get_running_loop()
        self._came = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._came[:end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            whole = end + 4 + int(length or 0)
            if len(self._came) < whole:
                return
            body = bytes(self._came[end + 4 : whole])
            del self._came[:whole]
            self._asked(head, body)

    def _asked(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get "):
            self._send(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())
            return
        asked = json.loads(body)
        text = asked["messages"][-1]["content"]
        said = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
        if asked.get("stream"):
            self._stream(said, text, (asked.get("stream_options") or {}).get("include_usage", False))
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        answer = {**said, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
        self._loop.call_later(self._answer_s, self._send, json.dumps(answer).encode())

    def _send(self, body: bytes) -> None:
        self._transport.write(_HEAD % len(body) + body)

    def _stream(self, said: dict[str, Any], text: str, usage: bool) -> None:
        self._transport.write(_STREAM_HEAD)
        said = {**said, "object": "chat.completion.chunk"}
        size = -(-len(text) // PIECES)
        for number in range(PIECES):
            delta = {"index": 0, "delta": {"content": text[number * size : (number + 1) * size]}, "finish_reason": None}
            event = {**said, "choices": [delta]}
            self._loop.call_later(self._answer_s * (number + 1) / PIECES, self._event, json.dumps(event))
        last = {**said, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events = [
            json.dumps(last),
            *([json.dumps({**said, "choices": [], "usage": _USAGE})] if usage else []),
            "[DONE]",
        ]
        self._loop.call_later(self._answer_s, self._end, events)

    def _event(self, data: str) -> None:
        self._transport.write(_chunk(f"data: {data}\n\n".encode()))

    def _end(self, events: list[str]) -> None:
        for data in events:
            self._event(data)
        self._transport.write(b"0\r\n\r\n")


_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(answer_s: float, ready: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(_Connection, answer_s), "127.0.0.1", 0, backlog=1024)
    say_ready(ready, server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), Path(sys.argv[2])))

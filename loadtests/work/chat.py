"""Chat completions over HTTP/1.1, as applications ask for them; connections are kept alive."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any

from loadtests.openloop.generator import NotRight, Visit
from loadtests.work.reach import Reach
from loadtests.work.texts import text

#: Come again later.
BUSY = (429, 503)


@dataclass(frozen=True)
class Params:
    """turns: of the history before the question. words: median of a turn. stream: True takes the answer in pieces."""

    model: str = "assist"
    turns: int = 4
    words: float = 40.0
    stream: bool = False
    echoes: bool = True
    """True where the server's answer is the question, and any other is wrong."""


class Complete:
    """owns: its connections, those in nobody's use among them."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._params = params
        self._seed = seed
        host, _, port = reach.targets["gateway"].rpartition(":")
        self._at = (host, int(port))
        token = f"authorization: Bearer {reach.token_file.read_text().strip()}\r\n" if reach.token_file else ""
        self._head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def visit(self, number: int, visit: Visit) -> None:
        draw, params = random.Random(f"{self._seed}/{number}"), self._params
        roles = ["assistant" if turn % 2 else "user" for turn in range(params.turns)]
        said = [{"role": role, "content": text(draw, params.words)} for role in roles]
        asked = text(draw, params.words)
        body: dict[str, Any] = {
            "model": params.model,
            "messages": [*said, {"role": "user", "content": asked}],
            "user": f"user-{draw.randrange(10_000)}",
            "max_tokens": 256,
        }
        if params.stream:
            body["stream"] = True
        content = json.dumps(body).encode()
        request = f"{self._head}content-length: {len(content)}\r\n\r\n".encode() + content

        async def call(left_s: float) -> None:
            try:
                async with asyncio.timeout(left_s):
                    answer = await self._asked(request, visit)
            except TimeoutError:
                raise NotRight("DEADLINE_EXCEEDED") from None
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                raise NotRight("UNAVAILABLE") from None
            if params.echoes and answer != asked:
                raise NotRight("WRONG_ANSWER")

        await visit.step("complete", call)

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _asked(self, request: bytes, visit: Visit) -> str:
        """The answer's text. A connection that an answer did not end well on is used no more."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._at)
        done = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head[9:12])
            if status == 200 and self._params.stream:
                answer = await _streamed(reader, visit)
            else:
                chunked = b"transfer-encoding: chunked" in head
                data = await (_chunks(reader) if chunked else reader.readexactly(_length(head)))
            done = b"connection: close" not in head
            if status != 200:
                raise NotRight(refusal(status, head, data))
            if not self._params.stream:
                answer = json.loads(data)["choices"][0]["message"]["content"]
        finally:
            if done:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return answer


def refusal(status: int, head: bytes, data: bytes) -> str:
    """`HTTP 429`, with a word behind it where OpenAI's clients would not understand it, or not when to come back.

    head: in lower case.
    """
    try:
        shaped = {"message", "type", "param", "code"} <= json.loads(data)["error"].keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        shaped = False
    if not shaped:
        return f"HTTP {status} NO_SHAPE"
    waits = status not in BUSY or b"\r\nretry-after:" in head
    return f"HTTP {status}" if waits else f"HTTP {status} NO_RETRY_AFTER"


def _length(head: bytes) -> int:
    return int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """b"" behind the last one."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = bytearray()
    while part := await _chunk(reader):
        parts += part
    return bytes(parts)


async def _streamed(reader: asyncio.StreamReader, visit: Visit) -> str:
    words, came, done = "", b"", False
    while part := await _chunk(reader):
        *events, came = (came + part).split(b"\n\n")
        for event in events:
            data = event.removeprefix(b"data: ")
            if data == b"[DONE]":
                done = True
            elif (choices := json.loads(data)["choices"]) and (piece := choices[0]["delta"].get("content")):
                if not words:
                    visit.mark("first text")
                words += piece
    if not done:
        raise NotRight("NO_END")
    return words

"""Server-sent events as OpenAI's API uses them: `data: {json}` and, last, `data: [DONE]`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from rejoinder.gateway.errors import UpstreamRefused

DONE = b"data: [DONE]\n\n"
#: Bytes of one event of an upstream; a longer one is no answer.
MAX_EVENT = 8 * 1024 * 1024


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


async def data_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of each event, whatever pieces and line ends it comes in; comments are passed over.

    Raises UpstreamRefused for an event that is too long.
    """
    lines: list[str] = []
    pieces: list[bytes] = []
    size = waiting = 0
    async for chunk in chunks:
        pieces.append(chunk)
        waiting += len(chunk)
        if size + waiting > MAX_EVENT:
            raise UpstreamRefused("the server behind the gateway sent an event that is too long")
        if b"\n" not in chunk and b"\r" not in chunk and not pieces[0].endswith(b"\r"):
            continue
        rest = b"".join(pieces)
        # A line end may be cut in two: a carriage return at the end waits for what follows.
        held = b"\r" if rest.endswith(b"\r") else b""
        *whole, rest = rest[: len(rest) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        pieces = [rest + held] if rest or held else []
        waiting = len(rest) + len(held)
        for line in whole:
            size += len(line)
            if not line:
                if lines:
                    yield "\n".join(lines)
                lines, size = [], 0
            elif line.startswith(b"data:"):
                lines.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
    if lines:
        yield "\n".join(lines)

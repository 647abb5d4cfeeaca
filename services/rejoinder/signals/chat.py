"""An OpenAI-compatible server that a second judge asks: some questions at once, all within one time.

It is nobody's duty to answer: whatever goes wrong is an answer that is missing, told by its kind, never by its words. A
server that answered less than half is left alone for a while, so that one which is away or far too slow costs the
signals behind it seconds, once in a while.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Message

#: Bytes of an answer of a few words, and tokens of it: room for a server that thinks aloud in short.
_MAX_BODY, _MAX_TOKENS = 64 * 1024, 16
#: Seconds for which a server that answered less than half is not asked.
REST_S = 30.0


class ChatEndpoint:
    """url: up to `/v1`. wait_s: for all questions of one call together; then they end, however the server drips.

    missed: hears why an answer is missing: a status, or the kind of the error. Raises BadSettings for a url that is
    none.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key_file: Path | None,
        wait_s: float,
        parallel: int,
        clock: Clock,
        missed: Callable[[str], None],
    ) -> None:
        self.model = model
        try:
            self._url = httpx.URL(url.rstrip("/") + "/chat/completions")
        except httpx.InvalidURL:
            raise BadSettings("audit.endpoint.url is no address") from None
        self._key_file = key_file
        self._wait_s = wait_s
        self._parallel = parallel
        self._clock = clock
        self._missed = missed
        self._resting_until = 0.0
        self._trusted = ssl.create_default_context()

    def ask(self, talks: Sequence[Sequence[Message]]) -> Sequence[str | None]:
        """An answer to each, in order; None where there was none in time. Not within an event loop."""
        if self._clock.monotonic() < self._resting_until:
            self._missed("resting")
            return [None] * len(talks)
        said = asyncio.run(self._all(talks))
        if 2 * said.count(None) > len(said):
            self._resting_until = self._clock.monotonic() + REST_S
        return said

    async def _all(self, talks: Sequence[Sequence[Message]]) -> list[str | None]:
        # No proxy of the environment and no redirect: words go where the settings say.
        async with httpx.AsyncClient(
            verify=self._trusted,
            # One limit, that of all together: two that pass at once would tell one missing answer twice.
            timeout=None,
            limits=httpx.Limits(max_connections=self._parallel),
            trust_env=False,
            follow_redirects=False,
        ) as client:
            asked = [asyncio.create_task(self._one(client, talk)) for talk in talks]
            _, late = await asyncio.wait(asked, timeout=self._wait_s)
            for each in late:
                each.cancel()
                self._missed("late")
            await asyncio.gather(*late, return_exceptions=True)
        return [None if each in late else each.result() for each in asked]

    async def _one(self, client: httpx.AsyncClient, talk: Sequence[Message]) -> str | None:
        body = {
            "model": self.model,
            "messages": [{"role": message.role.value.lower(), "content": message.content} for message in talk],
            "temperature": 0,
            "max_tokens": _MAX_TOKENS,
        }
        try:
            async with client.stream("POST", self._url, json=body, headers=self._headers()) as answer:
                if answer.status_code != 200:
                    self._missed(f"status {answer.status_code}")
                    return None
                return _text(await _read(answer))
        except (httpx.HTTPError, OSError) as error:
            self._missed(type(error).__name__)
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            self._missed("no such answer")
        return None

    def _headers(self) -> dict[str, str]:
        # Not compressed, so that what is received is no longer than what was sent.
        plain = {"accept-encoding": "identity"}
        if self._key_file is None:
            return plain
        return plain | {"authorization": f"Bearer {self._key_file.read_text(encoding='utf-8').strip()}"}


async def _read(answer: httpx.Response) -> bytes:
    """The body. Raises ValueError where it is longer than a word needs."""
    body = b""
    async for part in answer.aiter_raw():
        body += part
        if len(body) > _MAX_BODY:
            raise ValueError("too long")
    return body


def _text(body: bytes) -> str:
    value: Any = json.loads(body)
    text = value["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise TypeError("no text")
    return text

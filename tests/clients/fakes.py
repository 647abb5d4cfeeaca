"""Channels that answer from a script instead of a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from rejoinder.clients.channel import Rpc


class Script:
    """Answers by method name; remembers what was asked. owns: the list of requests."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Any]] = []

    def answer(self, rpc: Rpc, request: Any) -> Any:
        name = rpc.path.rsplit("/", 1)[1]
        self.asked.append((name, request))
        answer = self._answers[name]
        made = answer(request) if isinstance(answer, Callable) else answer
        if isinstance(made, Exception):
            raise made
        return made


class ScriptedChannel(Script):
    def call(self, rpc: Rpc, request: Any, deadline_s: float | None = None) -> Any:
        return self.answer(rpc, request)

    def stream(self, rpc: Rpc, request: Any, deadline_s: float | None = None) -> Iterator[Any]:
        yield from self.answer(rpc, request)

    def close(self) -> None:
        self.asked.append(("close", None))


class AsyncScriptedChannel(Script):
    async def call(self, rpc: Rpc, request: Any, deadline_s: float | None = None) -> Any:
        return self.answer(rpc, request)

    async def stream(self, rpc: Rpc, request: Any, deadline_s: float | None = None) -> AsyncIterator[Any]:
        for message in self.answer(rpc, request):
            yield message

    async def close(self) -> None:
        self.asked.append(("close", None))

"""Versions as LoRA adapters of a vLLM server: loaded as arms name them, looked for where they should be, let go later.

vLLM loses what it was given when it begins again, may be started with another adapter under the same name, and can be
told to answer any name from its base. So nothing counts as served because it was loaded: the list of models must have
the version's name over the very path that its digest stands in, at every look; and answers are checked one by one
(`openai.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

import httpx

from rejoinder.core.arms import Version
from rejoinder.core.clock import Clock
from rejoinder.gateway.arms import Known, Listed
from rejoinder.gateway.openai_server import Card
from rejoinder.runtime.logging import EventLog

#: Seconds that an adapter stays which no arm names any more: answers from it end, and other gateways hear of it.
KEPT_S = 60.0
#: Seconds that a look waits for what the server was told; it goes on beside the next looks.
_PATIENT_S = 5.0


class Server(Protocol):
    async def cards(self) -> list[Card]: ...

    async def load_adapter(self, name: str, path: str) -> str: ...

    async def unload_adapter(self, name: str) -> str: ...


class Adapters:
    """owns: the adapters that it brought or found in use here, since when each is named by no arm, and what the server
    is told just now, by adapter.

    base: the version that the server's own base is; every other one is an adapter. path_of: where the server finds a
    version's adapter; it may block, and raises where that cannot be known. ours: whether a path is one of such.
    """

    def __init__(
        self,
        server: Server,
        known: Known,
        base: str,
        path_of: Callable[[Version], str],
        ours: Callable[[str], bool],
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._server = server
        self._known = known
        self._base = base
        self._path_of = path_of
        self._ours = ours
        self._clock = clock
        self._log = log
        self._used: dict[str, float | None] = {}
        self._paths: dict[Version, str] = {}
        self._said: dict[str, str] = {}
        self._changing: dict[str, asyncio.Future[None]] = {}

    async def see(self) -> Listed:
        """What the server can be asked for now: of versions only those that lie there as they should.

        Raises httpx.HTTPError, ValueError where the server does not list its models.
        """
        cards = await self._cards()
        wanted = {self._known.model_of(each.version): each for each in self._known.wanted}
        for version in wanted.values():
            await self._find(version)
        if await self._changed(self._to_bring(wanted, cards) | self._to_let_go(wanted, cards)):
            cards = await self._cards()
        wrong = {name for name, version in wanted.items() if name in cards and not self._right(version, cards[name])}
        return Listed(
            frozenset(cards) - wrong,
            bases={name: card.root for name, card in cards.items() if not card.parent},
            versions=frozenset(name for name, card in cards.items() if card.parent and self._ours(card.root)),
        )

    async def _cards(self) -> dict[str, Card]:
        return {card.id: card for card in await self._server.cards()}

    async def _changed(self, changes: Mapping[str, Callable[[], Awaitable[None]]]) -> bool:
        """Whether the server was told anything. What takes it long keeps nothing else from being told or seen."""
        for name, change in changes.items():
            if name not in self._changing:
                self._changing[name] = asyncio.ensure_future(change())
        if not self._changing:
            return False
        done, _ = await asyncio.wait(self._changing.values(), timeout=_PATIENT_S)
        self._changing = {name: task for name, task in self._changing.items() if task not in done}
        for task in done:
            task.result()
        return bool(done)

    def _to_bring(self, wanted: dict[str, Version], cards: dict[str, Card]) -> dict[str, Callable[[], Awaitable[None]]]:
        changes: dict[str, Callable[[], Awaitable[None]]] = {}
        for name, version in wanted.items():
            if version.version == self._base:
                continue
            self._used[name] = None
            card, path = cards.get(name), self._paths.get(version, "")
            if not path or (card is not None and self._right(version, card)):
                continue
            if card is not None and not card.parent:
                self._say(name, "the name is the base's own")
                continue
            changes[name] = partial(self._bring, name, path, card is not None)
        return changes

    async def _bring(self, name: str, path: str, other: bool) -> None:
        """other: another adapter has the name."""
        if other:
            self._say(name, "another adapter had its name")
        refused = await _refusal(self._server.unload_adapter(name)) if other else ""
        refused = refused or await _refusal(self._server.load_adapter(name, path))
        self._say(name, refused)
        if not refused:
            self._log.info("adapter_loaded", version=name)

    def _to_let_go(
        self, wanted: dict[str, Version], cards: dict[str, Card]
    ) -> dict[str, Callable[[], Awaitable[None]]]:
        changes: dict[str, Callable[[], Awaitable[None]]] = {}
        now = self._clock.monotonic()
        for name, since in list(self._used.items()):
            if name in wanted:
                continue
            if since is None:
                self._used[name] = now
            elif now - since >= KEPT_S:
                if name in cards and cards[name].parent:
                    changes[name] = partial(self._let_go, name)
                else:
                    self._forget(name)
        return changes

    async def _let_go(self, name: str) -> None:
        """Until it has gone, each look tries again."""
        refused = await _refusal(self._server.unload_adapter(name))
        if refused:
            self._say(name, refused, "adapter_not_unloaded")
            return
        self._log.info("adapter_unloaded", version=name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._used.pop(name, None)
        self._said.pop(name, None)

    def _right(self, version: Version, card: Card) -> bool:
        if version.version == self._base:
            return not card.parent
        path = self._paths.get(version, "")
        return bool(card.parent and path and card.root.rstrip("/") == path.rstrip("/"))

    async def _find(self, version: Version) -> None:
        """A version's path never changes: it is asked for once."""
        if version.version == self._base or version in self._paths:
            return
        try:
            self._paths[version] = await asyncio.to_thread(self._path_of, version)
        except Exception as error:
            # The registry may be away; whatever it is, the version is not served meanwhile.
            self._say(self._known.model_of(version.version), getattr(error, "reason", type(error).__name__))

    def _say(self, name: str, why: str, event: str = "adapter_not_loaded") -> None:
        """Once for each cause, not at every look."""
        if self._said.get(name, "") != why:
            self._said[name] = why
            if why:
                self._log.warning(event, version=name, why=why)


async def _refusal(told: Awaitable[str]) -> str:
    """Why the server did not do it, "" where it did."""
    try:
        return await told
    except (httpx.HTTPError, OSError) as error:
        return type(error).__name__

"""Versions as LoRA adapters of a vLLM server: loaded as arms name them, looked for where they should be, let go later.

vLLM loses what it was given when it begins again, may be started with another adapter under the same name, and can be
told to answer any name from its base. So nothing counts as served because it was loaded: the list of models must have
the version's name over the very path that its digest stands in, at every look; and answers are checked one by one
(`openai.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rejoinder.core.arms import Version
from rejoinder.core.clock import Clock
from rejoinder.gateway.arms import Known
from rejoinder.runtime.logging import EventLog

#: Seconds that an adapter stays which no arm names any more: answers from it end, and other gateways hear of it.
KEPT_S = 60.0


@dataclass(frozen=True)
class Card:
    """A model as the server lists it. root: its path there. parent: the base that it adapts, "" of a base itself."""

    id: str
    root: str = ""
    parent: str = ""


class Server(Protocol):
    async def cards(self) -> list[Card]: ...

    async def load_adapter(self, name: str, path: str) -> str: ...

    async def unload_adapter(self, name: str) -> str: ...


class Adapters:
    """owns: the adapters that it brought or found in use here, and since when each is named by no arm.

    base: the version that the server's own base is; every other one is an adapter. path_of: where the server finds a
    version's adapter; it may block, and raises where that cannot be known.
    """

    def __init__(
        self,
        server: Server,
        known: Known,
        base: str,
        path_of: Callable[[Version], str],
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._server = server
        self._known = known
        self._base = base
        self._path_of = path_of
        self._clock = clock
        self._log = log
        self._used: dict[str, float | None] = {}
        self._paths: dict[Version, str] = {}
        self._said: dict[str, str] = {}

    async def see(self) -> list[str]:
        """Names that the server can be asked for now: of versions only those that lie there as they should.

        Raises httpx.HTTPError, ValueError where the server does not list its models.
        """
        cards = await self._cards()
        wanted = {self._known.model_of(each.version): each for each in self._known.wanted}
        for version in wanted.values():
            await self._find(version)
        if await self._bring(wanted, cards) | await self._let_go(wanted, cards):
            cards = await self._cards()
        wrong = {name for name, version in wanted.items() if name in cards and not self._right(version, cards[name])}
        return [name for name in cards if name not in wrong]

    async def _cards(self) -> dict[str, Card]:
        return {card.id: card for card in await self._server.cards()}

    async def _bring(self, wanted: dict[str, Version], cards: dict[str, Card]) -> bool:
        """Whether the server was told anything."""
        told = False
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
            if card is not None:
                self._say(name, "another adapter had its name")
                await self._server.unload_adapter(name)
            refused = await self._server.load_adapter(name, path)
            told = True
            self._say(name, refused)
            if not refused:
                self._log.info("adapter_loaded", version=version.version)
        return told

    async def _let_go(self, wanted: dict[str, Version], cards: dict[str, Card]) -> bool:
        told, now = False, self._clock.monotonic()
        for name, since in list(self._used.items()):
            if name in wanted:
                continue
            if since is None:
                self._used[name] = now
            elif now - since >= KEPT_S:
                del self._used[name]
                self._said.pop(name, None)
                if name in cards and cards[name].parent:
                    refused = await self._server.unload_adapter(name)
                    self._log.info("adapter_unloaded", version=name, refused=refused)
                    told = True
        return told

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

    def _say(self, name: str, why: str) -> None:
        """Once for each cause, not at every look."""
        if self._said.get(name, "") != why:
            self._said[name] = why
            if why:
                self._log.warning("adapter_not_loaded", version=name, why=why)

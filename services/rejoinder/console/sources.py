"""What the pages ask: ledger, feedback, rollouts by RPC with the visitor's own token, so that roles and tenants are
judged where the data lies; registry and pair sets as files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.feedback import AsyncFeedbackClient
from rejoinder.clients.ledger import AsyncLedgerClient
from rejoinder.clients.rollouts import AsyncRolloutClient
from rejoinder.console.settings import ConsoleSettings, PolicyTheme, SourceTheme
from rejoinder.core.errors import NotFound
from rejoinder.gateway.guard import TRACE
from rejoinder.registry import claims, described, reviews
from rejoinder.registry.reviews import Review
from rejoinder.registry.store import Store, open_store

#: The visitor's bearer token, "" where nobody signs in.
TOKEN: ContextVar[str] = ContextVar("visitor_token", default="")
#: A page waits so long for a service, and tries so often: a service that is away must be said, not waited for.
PATIENCE_S, TRIES = 4.0, 2

T = TypeVar("T")


@dataclass(frozen=True)
class Files:
    """The registry and the rounds' pair sets. Blocking: called through `Sources.look`."""

    store: Store
    policy: str
    rounds: Path | None

    def claims(self) -> list[claims.Claim]:
        """Rounds by number, newest first."""
        return claims.claims(self.store, self.policy)[::-1]

    def report(self, number: int) -> dict[str, Any]:
        """{"outcome", "at", "version", "reasons", "stages": {name: output}} of a closed round. Raises NotFound."""
        return claims.reported(self.store, self.policy, number)

    def sets(self, number: int, side: str) -> list[Path]:
        """Raises NotFound."""
        if self.rounds is None:
            raise NotFound("the folder of pair sets is not here")
        return described.sets_of(self.rounds, self.policy, number, side)

    def described(self, number: int) -> dict[str, Any]:
        """A round's pair sets in figures. Raises NotFound."""
        return described.described(self.sets(number, "pairs"))

    def reviews(self) -> dict[str, Review]:
        return reviews.reviews(self.store, self.policy)

    def review(self, review: Review) -> None:
        reviews.record(self.store, self.policy, review)


class Sources:
    """owns: the clients. rollouts, files: None where the deployment has none."""

    def __init__(
        self,
        policy: str,
        ledger: AsyncLedgerClient,
        feedback: AsyncFeedbackClient,
        rollouts: AsyncRolloutClient | None,
        files: Files | None,
    ) -> None:
        self.policy = policy
        self.ledger = ledger
        self.feedback = feedback
        self.rollouts = rollouts
        self.files = files

    async def look(self, work: Callable[[Files], T]) -> T:
        """Something of the registry or the pair sets. Raises NotFound where there are none."""
        if self.files is None:
            raise NotFound("this console has no registry")
        return await asyncio.to_thread(work, self.files)

    async def close(self) -> None:
        for client in (self.ledger, self.feedback, self.rollouts):
            if client is not None:
                await client.close()


def open_files(policy: PolicyTheme) -> Files | None:
    """None where the settings name no registry. Blocking."""
    return Files(open_store(policy.registry), policy.name, policy.rounds) if policy.registry else None


def open_sources(settings: ConsoleSettings, files: Files | None, open_to_all: bool) -> Sources:
    """On the event loop. open_to_all: nobody signs in, so the settings' tokens speak for whoever comes."""
    at = partial(_connection, open_to_all=open_to_all)
    return Sources(
        settings.policy.name,
        AsyncLedgerClient(at(settings.ledger)),
        AsyncFeedbackClient(at(settings.feedback)),
        AsyncRolloutClient(at(settings.rollouts)) if settings.rollouts.address else None,
        files,
    )


def _connection(theme: SourceTheme, open_to_all: bool) -> Connection:
    token = token_in(theme.token_file) if open_to_all else TOKEN.get
    return Connection(theme.address, theme.tls, token, deadline_s=PATIENCE_S, tries=TRIES, traceparent=TRACE.get)

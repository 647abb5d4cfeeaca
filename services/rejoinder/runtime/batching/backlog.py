"""What waits, by class and tenant: the books that admission reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rejoinder.runtime.batching.plan import Item


@dataclass
class Waiting:
    rows: int = 0
    tokens: int = 0


class Backlog:
    """owns: the sums. tokens: of all that waits."""

    def __init__(self) -> None:
        self.tokens = 0
        self._classes: tuple[dict[str, Waiting], dict[str, Waiting]] = ({}, {})

    def join(self, items: Iterable[Item]) -> None:
        for item in items:
            waiting = self._classes[item.background].setdefault(item.tenant, Waiting())
            waiting.rows += 1
            waiting.tokens += item.tokens
            self.tokens += item.tokens

    def leave(self, items: Iterable[Item]) -> None:
        for item in items:
            tenants = self._classes[item.background]
            waiting = tenants[item.tenant]
            waiting.rows -= 1
            waiting.tokens -= item.tokens
            self.tokens -= item.tokens
            if not waiting.rows:
                del tenants[item.tenant]

    def held_by(self, tenant: str) -> int:
        """Tokens of one tenant."""
        return sum(tenants[tenant].tokens for tenants in self._classes if tenant in tenants)

    def until_done(self, tenant: str, background: bool, rows: int, tokens: int) -> Waiting:
        """All that will have been computed when `rows` more of this tenant are: tenants take turns row by row, so of
        each other one as many rows as of this one; and of interactive work all before any of batch class."""
        own = self._classes[background].get(tenant, Waiting())
        out = Waiting(own.rows + rows, own.tokens + tokens)
        mine = out.rows
        for other, waiting in self._classes[background].items():
            if other != tenant:
                share = min(1.0, mine / waiting.rows)
                out.rows += min(waiting.rows, mine)
                out.tokens += round(waiting.tokens * share)
        if background:
            for waiting in self._classes[False].values():
                out.rows += waiting.rows
                out.tokens += waiting.tokens
        return out

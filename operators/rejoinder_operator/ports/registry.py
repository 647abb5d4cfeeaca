"""What the operator reads of the registry: claims, how rounds ended, versions, the served pointer."""

from __future__ import annotations

from typing import Any

from rejoinder.core.arms import Version
from rejoinder.core.errors import NotFound
from rejoinder.registry.claims import Claim
from rejoinder.registry.served import current
from rejoinder.registry.store import Store, read_json
from rejoinder.rollout.state import Pointer
from rejoinder.rollouts import rolled_back


class Registry:
    """owns: the closed claims it has read, which never change again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._closed: dict[tuple[str, str], Claim] = {}

    def claims(self, policy: str) -> tuple[Claim, ...]:
        """Every claim of a policy, by number; a number whose claim was not finished is nobody's yet."""
        found = []
        for name in self.store.names(f"rounds/{policy}"):
            claim = self._closed.get((policy, name)) or self._claim(policy, name)
            if claim is None:
                continue
            if claim.outcome:
                self._closed[policy, name] = claim
            found.append(claim)
        return tuple(found)

    def closed(self, policy: str, number: int) -> dict[str, Any] | None:
        """How a round ended: {"outcome", "at", "facts"}; None while it is open."""
        return self._read(f"rounds/{policy}/{number:06d}/closed.json")

    def train(self, policy: str, number: int) -> dict[str, str] | None:
        """What the prepare stage wrote down for the train stage, None before."""
        return self._read(f"rounds/{policy}/{number:06d}/train.json")

    def version(self, policy: str, version: str) -> dict[str, Any] | None:
        """A version's manifest, None where it was not published."""
        return self._read(f"versions/{policy}/{version}.json")

    def served(self, policy: str) -> Pointer | None:
        """None where the policy was never served."""
        try:
            pointer = current(self.store, policy)
        except NotFound:
            return None
        return Pointer(pointer.generation, Version(pointer.version, pointer.digest))

    def tried(self, policy: str, version: str) -> str:
        """Why a version was rolled back and may not be tried again, "" where it may."""
        return rolled_back.reason_of(self.store, policy, version)

    def _claim(self, policy: str, name: str) -> Claim | None:
        value = self._read(f"rounds/{policy}/{name}/claim.json")
        if value is None:
            return None
        closed = self._read(f"rounds/{policy}/{name}/closed.json")
        return Claim(**{**value, "outcome": closed["outcome"] if closed else ""})

    def _read(self, path: str) -> Any:
        try:
            return read_json(self.store, path)
        except NotFound:
            return None

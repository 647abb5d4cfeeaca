"""Doing what a loop or a round decided. Each action may be repeated."""

from __future__ import annotations

from rejoinder.core.errors import ClaimTaken, NotFound

from rejoinder_operator.decide.actions import Action, ClaimNumber, CloseNumber, CreateChild
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.cluster import Reads
from rejoinder_operator.ports.registry import Registry
from rejoinder_operator.ports.writes import Writes


class Acting:
    """owns: nothing; it writes through `writes` and shows the cache what it made."""

    def __init__(self, writes: Writes, reads: Reads, cache: Cache, registry: Registry) -> None:
        self._writes = writes
        self._reads = reads
        self._cache = cache
        self._registry = registry

    def do(self, action: Action, namespace: str, now: float) -> None:
        if isinstance(action, ClaimNumber):
            self._writes.claim(action.policy, action.holder, now)
        elif isinstance(action, CloseNumber):
            claim = next((c for c in self._registry.claims(action.policy) if c.number == action.number), None)
            if claim is not None and not claim.outcome:
                self._writes.close(claim, action.outcome, action.reasons, now)
        elif isinstance(action, CreateChild):
            self._create(action, namespace)
        else:
            self._writes.delete(action.kind, namespace, action.name, action.uid)
            self._cache.drop(action.kind, namespace, action.name, action.uid)

    def _create(self, action: CreateChild, namespace: str) -> None:
        kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
        try:
            self._cache.put(kind, self._writes.create(action.manifest))
        except ClaimTaken:
            try:
                # Ours of a life before, or somebody else's: the next look sees its owner.
                self._cache.put(kind, self._reads.get(kind, namespace, name))
            except NotFound:
                return

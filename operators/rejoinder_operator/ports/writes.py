"""The one way out: every external write of the operator is a method here, and each is a failpoint on either side.

`WRITES` is made of the methods themselves, so a test that kills before and after each finds a new one by itself. Before
a write the guard is asked whether we still lead: a leader that slept writes nothing (the lease's own writes are how one
becomes it). Behind that every write is fenced where it lands: creation is exclusive, a status names the
resourceVersion it was made from, the arms topic has a transactional id and a term, evidence and pointers are numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from rejoinder.core.errors import ClaimTaken, NotFound
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.claims import Claim, claim_round, close_round
from rejoinder.registry.store import create_json
from rejoinder.rollout.state import CreateServed, Load, Status, WriteArms
from rejoinder.rollouts import rolled_back
from rejoinder.rollouts.acts import Acts

from rejoinder_operator.ports.cluster import Changes, Object

#: Name of every write, in the order of the class.
WRITES: list[str] = []

P = ParamSpec("P")
R = TypeVar("R")


def _write(
    method: Callable[Concatenate[Writes, P], R],
) -> Callable[Concatenate[Writes, P], R]:
    WRITES.append(method.__name__)
    leading = method.__name__ != "lease"

    @wraps(method)
    def passed(self: Writes, *args: P.args, **kwargs: P.kwargs) -> R:
        if leading:
            self.guard()
        self.passing("before", method.__name__)
        answer = method(self, *args, **kwargs)
        self.passing("after", method.__name__)
        return answer

    return passed


class Writes:
    """owns: nothing. guard: raises Fenced unless we lead. passing: hears (before | after, name) of every write; tests
    kill there. acts: the registry, arms topic and replicas of a policy."""

    def __init__(
        self,
        cluster: Changes,
        artefacts: Artefacts,
        acts: Callable[[str], Acts],
        guard: Callable[[], None],
        passing: Callable[[str, str], None] = lambda side, name: None,
    ) -> None:
        self._cluster = cluster
        self._store = artefacts.store
        self._acts = acts
        self.guard = guard
        self.passing = passing

    @_write
    def lease(self, manifest: Mapping[str, Any]) -> Object:
        """Makes or renews the election's lease. Raises ClaimTaken, Aborted where somebody else was first."""
        fresh = "resourceVersion" not in manifest["metadata"]
        return self._cluster.create(manifest) if fresh else self._cluster.replace(manifest)

    @_write
    def create(self, manifest: Mapping[str, Any]) -> Object:
        """A child. Raises ClaimTaken where one of its name is there."""
        return self._cluster.create(manifest)

    @_write
    def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Exactly this object; one that is gone is no error."""
        with suppress(NotFound):
            self._cluster.delete(kind, namespace, name, uid)

    @_write
    def status(self, manifest: Mapping[str, Any]) -> Object:
        """The status of one of our kinds, whole. Raises Aborted where the object has moved on."""
        return self._cluster.apply_status(manifest)

    @_write
    def route(self, manifest: Mapping[str, Any]) -> None:
        """A rollout's route, with its weights. Raises Aborted where somebody else has written it."""
        self._cluster.apply(manifest)

    @_write
    def event(self, manifest: Mapping[str, Any]) -> None:
        """An Event; the same one again is none."""
        with suppress(ClaimTaken):
            self._cluster.create(manifest)

    @_write
    def claim(self, policy: str, holder: str, now: float) -> None:
        """The next round number; the holder's open claim stands. A lost race shows at the next look."""
        with suppress(ClaimTaken):
            claim_round(self._store, policy, holder, now)

    @_write
    def close(self, claim: Claim, outcome: str, reasons: tuple[str, ...], now: float) -> None:
        """Ends a claim, once; who was first shows at the next look."""
        with suppress(ClaimTaken):
            close_round(self._store, claim, outcome, now, {"version": "", "reasons": list(reasons)})

    @_write
    def take(self, policy: str) -> None:
        """Becomes the writer of the policy's arms table and fences the one before."""
        self._acts(policy).topic.take()

    @_write
    def arms(self, policy: str, action: WriteArms, now: float) -> None:
        """Raises Fenced once another writer has the table."""
        self._acts(policy).do(action, now)

    @_write
    def promote(self, policy: str, action: CreateServed, now: float) -> None:
        """The next served generation, by exclusive create; a lost race shows at the next look."""
        self._acts(policy).do(action, now)

    @_write
    def load(self, policy: str, action: Load, now: float) -> None:
        """Asks the replicas to load a version."""
        self._acts(policy).do(action, now)

    @_write
    def rolled_back(self, policy: str, status: Status, now: float) -> None:
        """That a version was taken back, once."""
        rolled_back.record(self._store, policy, status, now)

    @_write
    def evidence(self, path: str, value: Mapping[str, Any]) -> None:
        """A numbered state of a rollout's evidence. Raises ClaimTaken where another leader has written this number."""
        create_json(self._store, path, value)

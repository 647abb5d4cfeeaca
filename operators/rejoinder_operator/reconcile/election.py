"""Who leads: one Lease, taken when it has stood still for its duration by our own clock, renewed well within it.

Expiry is judged as client-go does, by how long we have seen the record unchanged: nobody's wall clock matters. Who
cannot renew for `renew_s` leads no more before anybody else can begin; a process that has led and lost it ends, so that
no thread of it goes on in another's time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Aborted, ClaimTaken, Fenced, NotFound, RejoinderError

from rejoinder_operator.ports.cluster import Object, Reads
from rejoinder_operator.ports.writes import Writes


@dataclass(frozen=True)
class ElectionRules:
    """identity: of this process. duration_s: how long a silent leader is waited for. renew_s: after so long without a
    renewal one leads no more; below duration_s. retry_s: between two looks."""

    namespace: str
    name: str
    identity: str
    duration_s: float = 15.0
    renew_s: float = 10.0
    retry_s: float = 2.0


class Election:
    """owns: what was seen of the lease. May be asked from any thread whether it leads."""

    def __init__(self, rules: ElectionRules, reads: Reads, clock: Clock) -> None:
        self._rules = rules
        self._reads = reads
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed: float | None = None

    def leads(self) -> bool:
        """Whether our last renewal is young enough. By the monotonic clock: who slept leads no more."""
        with self._lock:
            return self._renewed is not None and self._clock.monotonic() - self._renewed < self._rules.renew_s

    def guard(self) -> None:
        """Raises Fenced unless we lead."""
        if not self.leads():
            raise Fenced("this process does not lead")

    def try_once(self, writes: Writes) -> bool:
        """Takes or renews the lease where that may be done; whether we lead. A server that does not answer changes
        nothing: leadership ends by itself."""
        asked = self._clock.monotonic()
        try:
            if self._attempt(writes):
                # From before the request: the record may have been written at once.
                self._set(asked)
        except (Aborted, ClaimTaken):
            self._set(None)
        except RejoinderError:
            pass
        return self.leads()

    def release(self, writes: Writes) -> None:
        """Lets the next one begin at once; where that fails it waits for the duration."""
        if not self.leads():
            return
        self._set(None)
        try:
            lease = self._reads.get("Lease", self._rules.namespace, self._rules.name)
            if lease["spec"].get("holderIdentity") == self._rules.identity:
                writes.lease(self._manifest({**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}, lease))
        except RejoinderError:
            pass

    def _attempt(self, writes: Writes) -> bool:
        rules, now = self._rules, self._clock.now()
        try:
            lease = self._reads.get("Lease", rules.namespace, rules.name)
        except NotFound:
            writes.lease(self._manifest(self._record(now, now, 0), None))
            return True
        spec = lease["spec"]
        version = lease["metadata"]["resourceVersion"]
        if spec.get("holderIdentity") == rules.identity and self.leads():
            writes.lease(self._manifest({**spec, "renewTime": _micro(now)}, lease))
            return True
        if self._seen[0] != version:
            self._seen = (version, self._clock.monotonic())
        free = not spec.get("holderIdentity")
        stood = self._clock.monotonic() - self._seen[1]
        if not free and stood < float(spec.get("leaseDurationSeconds", rules.duration_s)):
            self._set(None)
            return False
        writes.lease(self._manifest(self._record(now, now, spec.get("leaseTransitions", 0) + 1), lease))
        return True

    def _record(self, acquired: float, renewed: float, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self._rules.identity,
            "leaseDurationSeconds": round(self._rules.duration_s),
            "acquireTime": _micro(acquired),
            "renewTime": _micro(renewed),
            "leaseTransitions": transitions,
        }

    def _manifest(self, spec: dict[str, Any], old: Object | None) -> Object:
        meta = {"name": self._rules.name, "namespace": self._rules.namespace}
        if old is not None:
            meta |= {"resourceVersion": old["metadata"]["resourceVersion"], "uid": old["metadata"]["uid"]}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}

    def _set(self, renewed: float | None) -> None:
        with self._lock:
            self._renewed = renewed


def _micro(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

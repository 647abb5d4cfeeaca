"""The loop of the process: stand by, lead, watch, look, renew; and end when somebody else leads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Fenced, RejoinderError
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.logging import EventLog

from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.cluster import Expired, Object, Reads
from rejoinder_operator.ports.writes import Writes
from rejoinder_operator.reconcile.election import Election
from rejoinder_operator.reconcile.queue import WorkQueue

Key = tuple[str, str, str]
Reconcile = Callable[[str, str], float | None]

OURS = "app.kubernetes.io/managed-by=rejoinder-operator"
#: Kinds that are watched, with the labels that ours have.
WATCHED: Mapping[str, str] = {"PreferenceLoop": "", "PolicyRound": "", "PolicyRollout": "", "Job": OURS}
#: The kind whose looks renew leases, and has workers of its own; and what stands for all others.
_RENEWING, _OTHERS = "PolicyRollout", ""
#: The kind whose looks make what backends run.
_ROUND = "PolicyRound"
#: Seconds that a worker waits for a key before it looks whether it is to end.
_WAIT_S = 0.5


@dataclass(frozen=True)
class RunnerRules:
    """namespaces: that are watched, () for all. resync_s: between two whole looks at everything. retry_s: between two
    renewals of the lease. backends: further kinds, watched where the server has them when leadership begins."""

    namespaces: tuple[str, ...]
    workers: int = 4
    resync_s: float = 600.0
    retry_s: float = 2.0
    backends: tuple[str, ...] = ()


class Runner:
    """owns: the queues and the threads, while it leads."""

    def __init__(
        self,
        rules: RunnerRules,
        reads: Reads,
        cache: Cache,
        election: Election,
        writes: Writes,
        reconcilers: Mapping[str, Reconcile],
        clock: Clock,
        metrics: Metrics,
        log: EventLog,
        jitter: Random,
    ) -> None:
        self._rules = rules
        self._reads = reads
        self._cache = cache
        self._election = election
        self._writes = writes
        self._reconcilers = reconcilers
        self._clock = clock
        self._metrics = metrics
        self._log = log
        # A canary's lease must not wait for a thousand loops, or for a ledger that is slow to answer them.
        self._lanes: Mapping[str, WorkQueue[Key]] = {kind: WorkQueue(clock, jitter) for kind in (_RENEWING, _OTHERS)}
        self._ending = threading.Event()
        self._listing = threading.Lock()
        self._listed: set[tuple[str, str]] = set()
        self._watched = dict(WATCHED)

    def served(self) -> frozenset[str]:
        """The backends' kinds that are watched."""
        return frozenset(self._watched) - frozenset(WATCHED)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. Raises Fenced when leadership was lost, Unavailable where nobody says which backends are
        served: the process must begin anew."""
        while not stop.is_set() and not self._election.try_once(self._writes):
            stop.wait(self._rules.retry_s)
        if stop.is_set():
            self._election.release(self._writes)
            return
        threads: list[threading.Thread] = []
        try:
            self._watched |= {kind: OURS for kind in self._rules.backends if self._reads.serves(kind)}
            self._metrics["operator_leads"].set(1)
            self._log.info("leadership_taken", kinds=sorted(self._watched))
            threads = self._threads()
            for thread in threads:
                thread.start()
            self._lead(stop)
        finally:
            self._ending.set()
            for lane in self._lanes.values():
                lane.close()
            self._metrics["operator_leads"].set(0)
            for thread in threads:
                if thread.name.startswith("worker"):
                    thread.join(timeout=10.0)
            self._election.release(self._writes)

    def _lead(self, stop: threading.Event) -> None:
        while not stop.wait(self._rules.retry_s):
            if not self._election.try_once(self._writes):
                self._log.warning("leadership_lost")
                raise Fenced("this process does not lead any more")
            self._metrics["operator_queue"].set(sum(len(lane) for lane in self._lanes.values()))

    def _threads(self) -> list[threading.Thread]:
        """Watches are daemons: one that waits for a silent server ends with the process."""
        watches = [(kind, where) for kind in self._watched for where in self._rules.namespaces or ("",)]
        workers = [
            threading.Thread(target=self._work, args=(lane,), name=f"worker-{kind}-{n}", daemon=True)
            for kind, lane in self._lanes.items()
            for n in range(self._rules.workers)
        ]
        return [
            threading.Thread(target=self._watch, args=pair, name="watch", daemon=True) for pair in watches
        ] + workers

    def _watch(self, kind: str, namespace: str) -> None:
        said = ""
        while not self._ending.is_set():
            try:
                self._list_and_watch(kind, namespace)
                said = ""
            except Expired:
                self._ending.wait(self._rules.retry_s)
            except Exception as error:  # a watch that ended unseen would leave the operator blind and leading
                reason = getattr(error, "reason", "INTERNAL")
                if said != reason:
                    said = reason
                    self._log.warning("watch_interrupted", kind=kind, reason=reason)
                self._ending.wait(self._rules.retry_s)

    def _list_and_watch(self, kind: str, namespace: str) -> None:
        selector = self._watched[kind]
        listed = self._reads.list(kind, namespace, selector)
        seen = set()
        for item in listed.items:
            seen.add(_key(item))
            # A resync looks at parents of their own; a child's counts where a watch has missed it. At once: where a
            # later page does not come, what the cache has by then is no news to the next list.
            if self._cache.put(kind, {**item, "kind": kind}):
                self._add(kind, _key(item), _owners(item))
        gone = self._cache.keep(kind, seen, namespace)
        self._synced(kind, namespace)
        for key in seen:
            self._add(kind, key, ())
        for item in gone:
            self._add(kind, _key(item), _owners(item))
        version, until = listed.version, time.monotonic() + self._rules.resync_s
        while not self._ending.is_set() and (left := until - time.monotonic()) > 0:
            for what, found in self._reads.watch(kind, namespace, version, selector, left):
                version = found["metadata"]["resourceVersion"]
                if self._ending.is_set():
                    return
                if what != "BOOKMARK":
                    self._take_up(kind, what, {**found, "kind": kind})
                if time.monotonic() > until:
                    return

    def _synced(self, kind: str, where: str) -> None:
        """A kind was listed. With the last of those that a look needs, looks at what is held of its kind begin."""
        with self._listing:
            before = {each for each in self._reconcilers if self._ready(each, where)}
            self._listed.add((kind, where))
            fresh = [each for each in self._reconcilers if self._ready(each, where) and each not in before]
        for each in fresh:
            for key in self._cache.keys(each, where):
                self._add(each, key, ())

    def _ready(self, kind: str, where: str) -> bool:
        """Whether every kind that a look at this one needs was listed. Backends are rounds' alone: one that cannot be
        listed must not let a canary lapse."""
        needed = self._watched if kind == _ROUND else WATCHED
        return all((each, where) in self._listed for each in needed)

    def _take_up(self, kind: str, what: str, found: Object) -> None:
        meta = found["metadata"]
        if what == "DELETED":
            self._cache.drop(kind, meta["namespace"], meta["name"], meta["uid"])
        else:
            self._cache.put(kind, found)
        self._add(kind, _key(found), _owners(found))

    def _add(self, kind: str, key: tuple[str, str], whose: tuple[tuple[str, str], ...]) -> None:
        """The object itself, and whose child it is; not before every kind around it was listed: without its rollouts a
        loop would think that it has none."""
        namespace, name = key
        where = namespace if self._rules.namespaces else ""
        for of, called in ((kind, name), *whose):
            if of not in self._reconcilers:
                continue
            with self._listing:
                ready = self._ready(of, where)
            if ready:
                self._lane(of).add((of, namespace, called))

    def _lane(self, kind: str) -> WorkQueue[Key]:
        return self._lanes[_RENEWING if kind == _RENEWING else _OTHERS]

    def _work(self, lane: WorkQueue[Key]) -> None:
        while not self._ending.is_set():
            key = lane.take(_WAIT_S)
            if key is not None:
                self._look(key)

    def _look(self, key: Key) -> None:
        kind, namespace, name = key
        began = self._clock.monotonic()
        try:
            again_s = self._reconcilers[kind](namespace, name)
        except Exception as error:
            reason = getattr(error, "reason", "INTERNAL")
            self._metrics["reconcile_errors_total"].labels(kind, reason).inc()
            pause = self._lane(kind).failed(key)
            if isinstance(error, RejoinderError):
                self._log.warning(
                    "look_failed", kind=kind, namespace=namespace, name=name, reason=reason, again_s=pause
                )
            else:
                self._log.error("look_failed", error, kind=kind, namespace=namespace, name=name)
        else:
            self._lane(kind).done(key)
            if again_s is not None:
                self._lane(kind).add(key, again_s)
        self._metrics["reconcile_s"].labels(kind).observe(self._clock.monotonic() - began)


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _owners(found: Object) -> tuple[tuple[str, str], ...]:
    """(kind, name) of the controller, () without one."""
    references = found["metadata"].get("ownerReferences", ())
    return tuple((each["kind"], each["name"]) for each in references if each.get("controller"))

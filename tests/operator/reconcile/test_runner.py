"""reconcile/runner: nothing is looked at half seen, and one bad object or watch holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock, SystemClock
from rejoinder.core.errors import Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.cluster import Expired, Listed
from rejoinder_operator.reconcile.election import Election, ElectionRules
from rejoinder_operator.reconcile.runner import Runner, RunnerRules

from tests.operator.double import FakeCluster
from tests.operator.world import LOOP, ROLLOUT, World
from tests.rollouts.world import silent

PATIENCE_S = 30.0


class Watched(FakeCluster):
    """A server whose watches wait, and whose lists can be held back. fails: what the next watches of loops raise, the
    first after `meanwhile`. watching: set when one does not. watched: kinds that were listed."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.held: dict[str, threading.Event] = {}
        self.fails: list[Exception] = []
        self.ended, self.watching = threading.Event(), threading.Event()
        self.meanwhile: Callable[[], None] | None = None
        self.watched: set[str] = set()

    def list(self, kind: str, namespace: str, selector: str = "") -> Any:
        self.watched.add(kind)
        if kind in self.held:
            assert self.held[kind].wait(PATIENCE_S)
        return super().list(kind, namespace, selector)

    def watch(
        self, kind: str, namespace: str, version: str, selector: str = "", for_s: float = 300.0
    ) -> Iterator[tuple[str, Any]]:
        if kind == "PreferenceLoop" and self.fails:
            if self.meanwhile is not None:
                self.meanwhile()
                self.meanwhile = None
            raise self.fails.pop()
        if kind == "PreferenceLoop":
            self.watching.set()
        self.ended.wait(PATIENCE_S)
        return iter(())


@pytest.fixture
def cluster(world: World) -> Iterator[Watched]:
    made = Watched()
    world.cluster = made
    yield made
    made.ended.set()


def made(
    world: World,
    look: Callable[[str, str], float | None],
    cache: Cache,
    rules: RunnerRules = RunnerRules((), workers=2, retry_s=0.01),
    **more: Callable[[str, str], float | None],
) -> Runner:
    process = world.process()
    election = Election(ElectionRules("team", "op", "a", retry_s=0.01), world.cluster, SystemClock())
    process.writes.guard = election.guard
    looks = {"PreferenceLoop": look, **more}
    return Runner(
        rules, world.cluster, cache, election, process.writes, looks, SystemClock(), Metrics(), silent(), Random(1)
    )


def running(world: World, *of: Any, **more: Any) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=made(world, *of, **more).run, args=(stop,))
    thread.start()
    return thread, stop


def test_nothing_is_looked_at_before_every_kind_was_listed(world: World, cluster: Watched) -> None:
    cluster.held["PolicyRollout"] = threading.Event()
    world.make("PreferenceLoop", "assist", LOOP)
    looked, cache, seen = threading.Event(), Cache(), []

    def look(namespace: str, name: str) -> None:
        seen.append(cluster.held["PolicyRollout"].is_set())
        looked.set()

    thread, stop = running(world, look, cache)
    try:
        # The others have been listed once their objects are in the cache; a look would come now.
        while not cache.list("PreferenceLoop"):
            assert thread.is_alive()
        assert not looked.wait(0.3)
        cluster.held["PolicyRollout"].set()
        assert looked.wait(PATIENCE_S)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert seen == [True]


def test_an_object_that_cannot_be_decided_holds_up_nobody(world: World, cluster: Watched) -> None:
    for name in ("bad", "good"):
        world.make("PreferenceLoop", name, LOOP)
    failed, looked = threading.Event(), threading.Event()

    def look(namespace: str, name: str) -> None:
        if name == "bad":
            failed.set()
            raise KeyError("began_at")
        assert failed.wait(PATIENCE_S)
        looked.set()

    thread, stop = running(world, look, Cache())
    try:
        assert looked.wait(PATIENCE_S)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_rollouts_look_waits_for_no_loop(world: World, cluster: Watched) -> None:
    """Two workers hang at a ledger that does not answer; the canary's lease is renewed meanwhile."""
    for number in range(3):
        world.make("PreferenceLoop", f"loop-{number}", LOOP)
    world.make("PolicyRollout", "canary", ROLLOUT)
    hanging, let_go, renewed = threading.Semaphore(0), threading.Event(), threading.Event()

    def look(namespace: str, name: str) -> None:
        hanging.release()
        assert let_go.wait(PATIENCE_S)

    def renew(namespace: str, name: str) -> None:
        assert all(hanging.acquire(timeout=PATIENCE_S) for _ in range(2))
        renewed.set()

    thread, stop = running(world, look, Cache(), PolicyRollout=renew)
    try:
        assert renewed.wait(PATIENCE_S)
        assert not let_go.is_set()
    finally:
        let_go.set()
        stop.set()
        thread.join(PATIENCE_S)


def test_a_backends_kind_is_watched_where_the_server_has_it(world: World, cluster: Watched) -> None:
    cluster.served = {"JobSet"}
    rules = RunnerRules((), workers=1, retry_s=0.01, backends=("JobSet", "TrainJob"))
    looked = threading.Event()
    world.make("PreferenceLoop", "assist", LOOP)
    thread, stop = running(world, lambda *_: looked.set(), Cache(), rules)
    try:
        # Looked at once every kind was listed.
        assert looked.wait(PATIENCE_S)
        assert (cluster.watched & {"JobSet", "TrainJob"}) == {"JobSet"}
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def test_a_backend_that_cannot_be_listed_holds_up_rounds_alone(world: World, cluster: Watched) -> None:
    """Its rights were taken away, say: a canary's lease is renewed meanwhile."""
    cluster.served, cluster.held["JobSet"] = {"JobSet"}, threading.Event()
    rules = RunnerRules((), workers=1, retry_s=0.01, backends=("JobSet",))
    looked = {kind: threading.Event() for kind in ("PreferenceLoop", "PolicyRound", "PolicyRollout")}
    for kind in looked:
        world.make(kind, "assist", {})
    looks = {kind: lambda *_, kind=kind: looked[kind].set() for kind in looked}
    thread, stop = running(world, looks.pop("PreferenceLoop"), Cache(), rules, **looks)
    try:
        assert looked["PolicyRollout"].wait(PATIENCE_S)
        assert looked["PreferenceLoop"].wait(PATIENCE_S)
        assert not looked["PolicyRound"].is_set()
        cluster.held["JobSet"].set()
        assert looked["PolicyRound"].wait(PATIENCE_S)
    finally:
        cluster.held["JobSet"].set()
        stop.set()
        thread.join(PATIENCE_S)


def test_who_cannot_ask_which_backends_there_are_does_not_keep_the_lease(world: World, cluster: Watched) -> None:
    def away(kind: str) -> bool:
        raise Unavailable("the API server is away")

    cluster.serves = away  # type: ignore[method-assign]
    rules = RunnerRules((), workers=1, retry_s=0.01, backends=("JobSet",))
    with pytest.raises(Unavailable):
        made(world, lambda *_: None, Cache(), rules).run(threading.Event())
    assert cluster.get("Lease", "team", "op")["spec"]["holderIdentity"] == ""


def test_a_list_that_breaks_off_has_woken_the_owners_of_what_it_brought(world: World, cluster: Watched) -> None:
    world.make("PolicyRollout", "owner", ROLLOUT)
    uid = cluster.get("PolicyRollout", "team", "owner")["metadata"]["uid"]
    cache, looked, again, broke = Cache(), threading.Event(), threading.Event(), threading.Event()
    cluster.fails = [Unavailable("away")]

    def meanwhile() -> None:
        assert looked.wait(PATIENCE_S)
        owner = {"kind": "PolicyRollout", "name": "owner", "uid": uid, "controller": True}
        meta = {"name": "child", "namespace": "team", "ownerReferences": [owner]}
        cluster.create({"apiVersion": API_VERSION, "kind": "PreferenceLoop", "metadata": meta, "spec": LOOP})
        whole = cluster.list

        def pages(items: Iterable[Any]) -> Iterator[Any]:
            yield from items
            raise Unavailable("the second page does not come")

        def broken(kind: str, namespace: str, selector: str = "") -> Listed:
            listed = whole(kind, namespace, selector)
            if kind != "PreferenceLoop" or broke.is_set():
                return listed
            broke.set()
            return Listed(pages(listed.items), listed.version)

        cluster.list = broken  # type: ignore[method-assign]

    def look(namespace: str, name: str) -> None:
        (looked if cache.get("PreferenceLoop", namespace, "child") is None else again).set()

    cluster.meanwhile = meanwhile
    thread, stop = running(world, lambda *_: None, cache, PolicyRollout=look)
    try:
        assert broke.wait(PATIENCE_S)
        assert cluster.watching.wait(PATIENCE_S)
        assert again.wait(PATIENCE_S)
    finally:
        stop.set()
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("error", [Expired("410"), Unavailable("away"), KeyError("metadata")])
def test_a_watch_that_fails_lists_anew_and_what_went_meanwhile_is_looked_at(
    world: World, cluster: Watched, error: Exception
) -> None:
    world.make("PreferenceLoop", "early", LOOP)
    uid = cluster.get("PreferenceLoop", "team", "early")["metadata"]["uid"]
    cache, looked, gone = Cache(), threading.Event(), threading.Event()
    cluster.fails = [error, error]

    def meanwhile() -> None:
        assert looked.wait(PATIENCE_S)
        cluster.delete("PreferenceLoop", "team", "early", uid)

    cluster.meanwhile = meanwhile

    def look(namespace: str, name: str) -> None:
        (gone if cache.get("PreferenceLoop", namespace, name) is None else looked).set()

    thread, stop = running(world, look, cache)
    try:
        assert gone.wait(PATIENCE_S)
        assert cluster.watching.wait(PATIENCE_S)
    finally:
        stop.set()
        thread.join(PATIENCE_S)

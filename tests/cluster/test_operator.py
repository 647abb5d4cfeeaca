"""The operator against a real API server, with its Role alone: schemas, field managers, conflicts, watches.

Jobs are ended by the test as the Job controller would; the log, the registry, replicas and people are those of
`tests/operator/world.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock, SystemClock
from rejoinder.core.errors import Aborted, ClaimTaken, Fenced, NotFound, PermissionDenied, RejoinderError, Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder.registry.claims import claims
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.registry.store import FolderStore
from rejoinder_operator.api.fields import API_VERSION, MANAGER
from rejoinder_operator.api.rollouts import Traffic
from rejoinder_operator.decide import rollout as decide_rollout
from rejoinder_operator.decide.backends import KINDS
from rejoinder_operator.decide.routes import route_of
from rejoinder_operator.ports.cluster import path
from rejoinder_operator.ports.kube import KubeCluster, open_client
from rejoinder_operator.ports.writes import Writes
from rejoinder_operator.reconcile.election import Election, ElectionRules
from rejoinder_operator.reconcile.runner import Runner, RunnerRules

from tests.cluster.apiserver import ControlPlane
from tests.cluster.foreign.crds import installed
from tests.operator import world as cluster_world
from tests.operator.reconcile.test_rollouts import over
from tests.operator.world import IMAGE, LOOP, NEW, TRAFFIC, World
from tests.rollouts.world import silent

#: Seconds until something that a real process does has happened, on a loaded machine.
PATIENCE_S = 60.0


class RealCluster(KubeCluster):
    """The client with the operator's rights, and beside it what people and other controllers do, with an admin's."""

    def __init__(self, kubeconfig: Path, plane: ControlPlane, namespace: str) -> None:
        super().__init__(open_client(kubeconfig))
        self.plane, self.namespace = plane, namespace
        self.created: list[tuple[str, str]] = []

    def create(self, manifest: Any) -> dict[str, Any]:
        if manifest["apiVersion"] == API_VERSION and not manifest["metadata"].get("ownerReferences"):
            answer = self.plane.call("POST", path(manifest["kind"], self.namespace), manifest)
            assert answer.status == 201, answer.body
            made = answer.body
        else:
            made = super().create(manifest)
        self.created.append((manifest["kind"], manifest["metadata"]["name"]))
        return made

    def list(self, kind: str, namespace: str, selector: str = "") -> Any:
        return super().list(kind, namespace or self.namespace, selector)

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [{**item, "kind": kind} for item in self.plane.call("GET", path(kind, self.namespace)).body["items"]]

    def set_status(self, kind: str, namespace: str, name: str, status: dict[str, Any]) -> None:
        """As the Job controller ends a Job; the server demands all of this."""
        at = {"startTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:01Z"}
        last = status["conditions"][0]
        if kind != "Job":
            ended = {"conditions": [{**last, "reason": "Ended", "message": "", "lastTransitionTime": at["startTime"]}]}
            answer = self.plane.call(
                "PATCH", path(kind, namespace, name) + "/status", {"status": ended}, kind="merge-patch+json"
            )
            assert answer.status == 200, answer.body
            return
        first = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[last["type"]]
        both = [
            {**last, "type": kind, "lastTransitionTime": at["lastTransitionTime"]} for kind in (first, last["type"])
        ]
        ended = {"startTime": at["startTime"], "conditions": both, "ready": 0}
        if last["type"] == "Complete":
            ended |= {"succeeded": 1, "completionTime": at["lastTransitionTime"]}
        answer = self.plane.call(
            "PATCH", path(kind, namespace, name) + "/status", {"status": ended}, kind="merge-patch+json"
        )
        assert answer.status == 200, answer.body


@pytest.fixture
def world(
    plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setattr(cluster_world, "NS", namespace)
    # A real uid is another one each time, and with it who is drawn; one in twenty as good versions is called worse.
    monkeypatch.setattr(decide_rollout, "salt_of", lambda uid: "salt")
    made = World(tmp_path, monkeypatch)
    made.cluster = RealCluster(kubeconfig, plane, namespace)  # type: ignore[assignment]
    yield made
    made.cluster.close()
    made.inner.close()


def test_a_loop_lives_its_whole_life_on_a_real_api_server(world: World, namespace: str) -> None:
    world.begin()
    process = world.live(world.process(), lambda: over(world))
    assert (world.inner.served.version, world.inner.served.generation) == (NEW.version, 2)
    jobs = sorted(name for kind, name in world.cluster.created if kind == "Job")
    assert jobs == [f"assist-r0001-{stage}-1" for stage in ("finish", "prepare", "train")]
    loop = world.cluster.get("PreferenceLoop", namespace, "assist")
    managers = {each["manager"]: each for each in loop["metadata"]["managedFields"]}
    ours = managers[MANAGER]
    assert (ours["operation"], ours["subresource"]) == ("Apply", "status")
    assert "f:spec" not in ours["fieldsV1"], "the operator never writes a person's spec"
    assert loop["metadata"]["generation"] == 1
    events = world.cluster.plane.call("GET", path("Event", namespace)).body["items"]
    assert {"RoundBegan", "RolloutBegan", "Promoted"} <= {event["reason"] for event in events}
    for _ in range(3):
        process.look()
    process.passed.clear()
    assert process.look() == {}
    written = {name for side, name in process.passed if side == "after"}
    assert written == {"lease"}, "what the server prunes or fills in would be written at each look"


@pytest.mark.parametrize("backend", ["jobset", "trainjob"])
def test_a_round_trains_as_a_kind_of_others_where_the_cluster_serves_it(
    world: World, plane: ControlPlane, namespace: str, backend: str
) -> None:
    """Accepted by their own CRDs; their controllers are the test, as the Job's is."""
    kind = KINDS[backend]
    training: dict[str, Any] = {"backend": backend} | ({"runtime": "torch"} if backend == "trainjob" else {})
    world.begin(training=training, rollout=None)
    process = world.process()
    waiting = lambda: "BackendMissing" in json.dumps(world.told())  # noqa: E731
    world.live(process, waiting)
    installed(plane, f"{path(kind, '').rpartition('/')[2]}.{path(kind, '').split('/')[2]}")
    assert world.cluster.serves(kind)
    world.served = frozenset({kind})
    world.live(process, lambda: world.status("PolicyRound", "assist-r0001").get("outcome") == "published")
    made = [(of, name) for of, name in world.cluster.created if name == "assist-r0001-train-1"]
    assert made == [(kind, "assist-r0001-train-1")]


@pytest.mark.parametrize(("kind", "backends"), [("HTTPRoute", "InferencePool"), ("GRPCRoute", "Service")])
def test_a_route_is_taken_with_its_weights_and_one_of_others_is_left(
    world: World, plane: ControlPlane, namespace: str, kind: str, backends: str
) -> None:
    """By the Gateway API's own CRDs, under the operator's Role; no gateway stands behind it."""
    installed(plane, f"{kind.lower()}s.gateway.networking.k8s.io", "inferencepools.inference.networking.k8s.io")
    traffic = Traffic.model_validate({**TRAFFIC, "kind": kind, "backends": backends})
    for canary in (0, 20, 100):
        world.cluster.apply(route_of(traffic, {"namespace": namespace}, {"stable": 100 - canary, "canary": canary}))
        found = plane.call("GET", path(kind, namespace, "assist")).body["spec"]["rules"][0]["backendRefs"]
        assert [(each["kind"], each["weight"]) for each in found] == [(backends, 100 - canary), (backends, canary)]
    theirs = route_of(traffic, {"namespace": namespace}, {"stable": 1, "canary": 1})
    theirs["metadata"]["name"] = "theirs"
    assert plane.call("POST", path(kind, namespace), theirs).status == 201
    theirs["spec"]["rules"][0]["backendRefs"][0]["weight"] = 2
    with pytest.raises(Aborted):
        world.cluster.apply(theirs)


def test_stage_pods_are_restricted(world: World, namespace: str) -> None:
    """The server warns of a Job whose pods it would refuse; a Pod of its template it refuses."""
    world.jobs = {}
    world.begin()
    world.live(world.process(), lambda: bool(world.cluster.all("Job")))
    template = world.cluster.all("Job")[0]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": template["spec"]}
    where = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    assert world.cluster.plane.call("POST", where, pod).status == 201
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert world.cluster.plane.call("POST", where, pod).status == 403


@pytest.mark.parametrize(
    "failpoint",
    # Every write, on either side, is one of the unit ring's rows on its double.
    [("after", "promote"), *(pytest.param(("after", each), marks=pytest.mark.proof) for each in ("create", "status"))],
)
def test_killed_at_a_write_on_the_real_server_it_goes_on_and_ends_once(
    world: World, failpoint: tuple[str, str]
) -> None:
    world.begin()
    process = world.process(failpoint)
    world.live(process, lambda: over(world))
    assert process.killed_at is None, "the failpoint was never passed"
    assert world.inner.served.generation == 2
    names = [name for kind, name in world.cluster.created if kind in ("Job", "PolicyRound")]
    assert len(names) == len(set(names)) == 4


def test_errors_are_what_the_port_promises(world: World, namespace: str) -> None:
    cluster = world.cluster
    with pytest.raises(NotFound):
        cluster.get("PreferenceLoop", namespace, "nobody")
    with pytest.raises(PermissionDenied):
        KubeCluster.list(cluster, "PreferenceLoop", "kube-system")
    world.begin()
    loop = cluster.get("PreferenceLoop", namespace, "assist")
    meta = {name: loop["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    status = {"apiVersion": API_VERSION, "kind": "PreferenceLoop", "metadata": meta, "status": {"phase": "Waiting"}}
    cluster.apply_status(status)
    with pytest.raises(Aborted):
        cluster.apply_status(status | {"status": {"phase": "Round"}})
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": namespace}}
    made = cluster.create(lease)
    with pytest.raises(ClaimTaken):
        cluster.create(lease)
    cluster.replace(made)
    with pytest.raises(Aborted):
        cluster.replace(
            {**made, "spec": {"leaseTransitions": 2}, "metadata": {**made["metadata"], "resourceVersion": "1"}}
        )


def test_a_leader_that_slept_is_fenced_and_the_next_one_waits_for_the_lease(
    plane: ControlPlane, namespace: str, kubeconfig: Path, world: World
) -> None:
    clock = ManualClock()
    first, second = (Election(ElectionRules(namespace, "op", name), world.cluster, clock) for name in "ab")
    process = world.process()
    assert first.try_once(process.writes)
    assert not second.try_once(process.writes)
    clock.advance(11.0)
    assert not first.leads()
    assert not second.try_once(process.writes)
    clock.advance(5.0)
    assert second.try_once(process.writes)
    with pytest.raises(Fenced):
        first.guard()
    assert not first.try_once(process.writes)


def test_an_api_server_that_is_away_ends_leadership_and_comes_back(world: World, plane: ControlPlane) -> None:
    process = world.process()
    world.begin()
    process.look()
    plane.pause()
    try:
        with pytest.raises(RejoinderError):
            process.sync()
    finally:
        plane.go_on()
    world.inner.clock.advance(60.0)
    assert not process.election.leads()
    world.live(process, lambda: over(world))
    assert world.inner.served.generation == 2


def test_watches_bring_a_new_object_to_its_look(world: World, namespace: str) -> None:
    """The threads as they run in the process: list, watch, queue, worker."""
    clock = SystemClock()
    election = Election(ElectionRules(namespace, "op", "a", retry_s=0.1), world.cluster, clock)
    process = world.process()
    writes = Writes(world.cluster, world.inner.artefacts, process.acts_of, election.guard)
    looked, stop = threading.Event(), threading.Event()

    def look(where: str, name: str) -> float | None:
        if name == "late":
            looked.set()
        return None

    rules = RunnerRules((namespace,), workers=1, retry_s=0.1)
    looks = {"PreferenceLoop": look}
    runner = Runner(rules, world.cluster, process.cache, election, writes, looks, clock, Metrics(), silent(), Random(1))
    running = threading.Thread(target=runner.run, args=(stop,))
    running.start()
    try:
        world.make("PreferenceLoop", "late", LOOP)
        assert looked.wait(PATIENCE_S)
    finally:
        stop.set()
        running.join(PATIENCE_S)
    assert not running.is_alive()
    assert world.cluster.get("Lease", namespace, "op")["spec"].get("holderIdentity", "") == ""


@pytest.mark.parametrize(
    "failpoint",
    ["after:create", *(pytest.param(each, marks=pytest.mark.proof) for each in ("before:status", "after:claim"))],
)
def test_the_process_killed_by_kill_9_is_followed_by_one_that_ends_it_once(
    plane: ControlPlane, namespace: str, kubeconfig: Path, world: World, tmp_path: Path, failpoint: str
) -> None:
    registry = tmp_path / "served"
    store = FolderStore(registry)
    advance(store, ServedPointer("assist", 1, "base", "4" * 64, decided_by="setup"))
    spec = {**LOOP, "trigger": {"schedule": "0 3 1 1 *"}}
    del spec["rollout"]
    world.make("PreferenceLoop", "assist", spec)
    plane.call(
        "PATCH",
        path("PreferenceLoop", namespace, "assist"),
        {"metadata": {"annotations": {"rejoinder.dev/retrigger": "1"}}},
        kind="merge-patch+json",
    )
    environment = {
        **os.environ,
        "REJOINDER_OPERATOR__WATCH__KUBECONFIG": str(kubeconfig),
        "REJOINDER_OPERATOR__WATCH__NAMESPACES": f"[{namespace}]",
        "REJOINDER_OPERATOR__ELECTION__NAMESPACE": namespace,
        "REJOINDER_OPERATOR__ELECTION__RETRY_S": "0.2",
        "REJOINDER_OPERATOR__ELECTION__RENEW_S": "4",
        "REJOINDER_OPERATOR__ELECTION__DURATION_S": "5",
        "REJOINDER_OPERATOR__ELECTION__IDENTITY": "first",
        "REJOINDER_OPERATOR__POLICY__REGISTRY": str(registry),
        "REJOINDER_OPERATOR__ROUNDS__IMAGE": IMAGE,
        "REJOINDER_OPERATOR__SERVER__PORT": "0",
        "REJOINDER_OPERATOR__VERDICTS__PORT": "0",
    }
    command = [sys.executable, "-m", "rejoinder_operator"]
    first = subprocess.run(
        command,
        env={**environment, "REJOINDER_OPERATOR__FAILPOINT": failpoint},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert first.returncode == -signal.SIGKILL, first.stderr.decode()
    environment["REJOINDER_OPERATOR__ELECTION__IDENTITY"] = "second"
    second = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        wait_for_first_job(world, namespace)
    finally:
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE_S) == 0, second.stderr.read().decode()
    assert [job["metadata"]["name"] for job in world.cluster.all("Job")] == ["assist-r0001-prepare-1"]
    assert [claim.number for claim in claims(store, "assist")] == [1]
    assert len(world.cluster.all("PolicyRound")) == 1


def wait_for_first_job(world: World, namespace: str) -> None:
    """Until a round says that the Job it wrote down was made; the test's own timeout ends a vain wait."""

    def begun(found: dict[str, Any]) -> bool:
        stages = found.get("status", {}).get("stages", [])
        return bool(stages) and bool(world.cluster.all("Job"))

    while True:
        listed = world.cluster.list("PolicyRound", namespace)
        if any(begun(item) for item in listed.items):
            return
        try:
            for _, found in world.cluster.watch("PolicyRound", namespace, listed.version):
                if begun(found):
                    return
        except Unavailable:
            continue  # a kind that is minutes old is still being indexed by the server

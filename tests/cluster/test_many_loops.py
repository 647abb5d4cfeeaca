"""A thousand loops on one operator: the process itself, a real API server, a ledger that answers.

Asked of it: a whole look at everything within 30 s, 150 MB, and at most two writes an hour for an object to which
nothing happened outside a canary. An hour brings six resyncs and twelve questions to the ledger, eighteen looks; here
they follow one another. `-m proof` has a thousand loops, each with an ended round and rollout; the short form twenty.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rejoinder.core.arms import Version
from rejoinder.registry.artefacts import Version as Made
from rejoinder.registry.claims import claim_round, close_round
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.registry.store import FolderStore, create_json
from rejoinder.rollout.state import PROMOTED, Pointer, Status
from rejoinder.v1 import ledger_pb2, ledger_pb2_grpc
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide.loop import LoopSeen, RoundSeen, holder, policy_rollout, policy_round, round_name
from rejoinder_operator.ports.cluster import path
from rejoinder_operator.ports.kube import KubeCluster, open_client

from tests.cluster.apiserver import ControlPlane
from tests.operator.world import EXPORT, IMAGE, LOOP, ROLLOUT

#: Seconds until something that a real process does has happened, on a loaded machine.
PATIENCE_S = 240.0
#: The demands.
LOOK_S, RSS_MB, WRITES_AN_HOUR, LOOKS_AN_HOUR = 30.0, 150.0, 2, 18
GOOD = Version("base", "4" * 64)


class Quiet(ledger_pb2_grpc.LedgerServiceServicer):
    """A ledger that has too little for a round, a little more each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def BuildWindow(self, request: Any, context: Any) -> Iterator[Any]:
        self.asked += 1
        head = ledger_pb2.WindowHead(counts={"evidence": self.asked % 90})
        yield ledger_pb2.BuildWindowResponse(head=head)


@pytest.fixture
def ledger() -> Iterator[tuple[Quiet, str]]:
    quiet = Quiet()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    ledger_pb2_grpc.add_LedgerServiceServicer_to_server(quiet, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield quiet, f"127.0.0.1:{port}"
    server.stop(None).wait()


@dataclass
class Crowd:
    """Loops as they stand for months: some wait for evidence, some for the hour, some are suspended, some have nothing
    served; all of them have ended rounds and the rollouts of those behind them."""

    plane: ControlPlane
    namespace: str
    store: FolderStore
    kept: int = 1

    def __post_init__(self) -> None:
        config = self.store.root.parent / "admin"
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [
                        {
                            "name": "c",
                            "cluster": {"server": self.plane.url, "certificate-authority": str(self.plane.ca)},
                        }
                    ],
                    "users": [{"name": "u", "user": {"token": "admin-token"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        self.admin = KubeCluster(open_client(config))

    def gather(self, count: int) -> None:
        self._make("PolicyRollout", "template", ROLLOUT)
        with futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self._loop, range(count)))

    def versions(self) -> dict[tuple[str, str], str]:
        """(kind, name) → resourceVersion."""
        kinds = ("PreferenceLoop", "PolicyRound", "PolicyRollout")
        return {
            (kind, item["metadata"]["name"]): item["metadata"]["resourceVersion"]
            for kind in kinds
            for item in self.admin.list(kind, self.namespace).items
        }

    def suspend(self, name: str) -> None:
        where = path("PreferenceLoop", self.namespace, name)
        answer = self.plane.call("PATCH", where, {"spec": {"suspend": True}}, kind="merge-patch+json")
        assert answer.status == 200, answer.body

    def _loop(self, number: int) -> None:
        name = f"loop-{number:04d}"
        spec: dict[str, Any] = {**LOOP, "policy": name, "suspend": number % 10 == 8}
        if number % 10 in (6, 7):
            spec["trigger"] = {"schedule": "0 3 1 1 *"}
        made = self._make("PreferenceLoop", name, spec)
        if number % 10 == 9:
            return
        meta = made["metadata"]
        holds = holder(self.namespace, meta["uid"])
        read = LoopSpec.model_validate(spec)
        for at in range(1, self.kept + 1):
            claim = claim_round(self.store, name, holds, 1000.0 * at)
            version = round_name(name, at)
            close_round(self.store, claim, "published", 1000.0 * at + 500, {"version": version, "reasons": []})
            create_json(
                self.store, f"versions/{name}/{version}.json", vars(Made(name, version, "5" * 64, base_digest=EXPORT))
            )
            seen = LoopSeen(served=Pointer(1, GOOD), template=ROLLOUT, image=IMAGE)
            self.admin.create(policy_round(read, meta, claim, seen))
            ended = {"outcome": "published", "version": {"version": version, "digest": "5" * 64}, "phase": "Published"}
            self._status("PolicyRound", version, ended)
            self.admin.create(
                policy_rollout(read, meta, RoundSeen(version, "", at, "published", "", version, "5" * 64), seen)
            )
            engine = Status("salt", GOOD, Version(version, "5" * 64), 1, 1000.0, PROMOTED, closed=True)
            self._status("PolicyRollout", version, {"engine": engine.as_dict()})
        for at in range(1, self.kept + 2):
            advance(
                self.store,
                ServedPointer(name, at, "base" if at == 1 else round_name(name, at - 1), "5" * 64, replaces=at - 1),
            )

    def _make(self, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": self.namespace}
        return self.admin.create({"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec})

    def _status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}}
        self.admin.apply_status({**manifest, "status": status})


class Operator:
    """owns: the process."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._ready, self._log = folder / "ready", folder / "log"
        settings = {f"REJOINDER_OPERATOR__{name}": value for name, value in environment.items()}
        settings |= {"REJOINDER_OPERATOR__SERVER__READY_FILE": str(self._ready)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rejoinder_operator"], env={**os.environ, **settings}, stderr=log
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, holds: Callable[[], bool], what: str) -> float:
        """Seconds until it holds."""
        began = time.monotonic()
        while not holds():
            assert self._process.poll() is None, (what, self.log_end())
            assert time.monotonic() - began < PATIENCE_S, (what, self.log_end())
            time.sleep(0.1)
        return time.monotonic() - began

    def log_end(self) -> str:
        return self._log.read_text()[-3000:]

    def figures(self) -> Counter[str]:
        """Looks by kind, and `writes` without the lease's."""
        if not self._ready.exists():
            return Counter()
        port = json.loads(self._ready.read_text())["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        out: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "rejoinder_reconcile_s_count":
                    out[sample.labels["kind"]] = int(sample.value)
                elif sample.name == "rejoinder_operator_writes_total" and sample.labels["write"] != "lease":
                    out["writes"] += int(sample.value)
                elif sample.name == "rejoinder_reconcile_errors_total":
                    out["errors"] += int(sample.value)
        return out

    def rss_mb(self) -> float:
        """The most it ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE_S) == 0, self.log_end()


@dataclass(frozen=True)
class Size:
    """looks: at everything, that may write nothing. resync_s: between two. kept: ended rounds, and rollouts, a loop."""

    loops: int
    looks: int
    resync_s: float
    kept: int = 1


@pytest.mark.parametrize(
    "size",
    [
        Size(20, 2, 1.0),
        pytest.param(Size(1000, LOOKS_AN_HOUR, 10.0), marks=[pytest.mark.proof, pytest.mark.timeout(1200)]),
    ],
    ids=["short", "thousand"],
)
def test_loops_to_which_nothing_happens_are_looked_at_quickly_and_not_written(
    plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path, ledger: tuple[Quiet, str], size: Size
) -> None:
    store = FolderStore(tmp_path / "registry")
    crowd = Crowd(plane, namespace, store, kept=size.kept)
    crowd.gather(size.loops)
    operator = Operator(
        tmp_path,
        WATCH__KUBECONFIG=str(kubeconfig),
        WATCH__NAMESPACES=f"[{namespace}]",
        WATCH__RESYNC_S=str(size.resync_s),
        ELECTION__NAMESPACE=namespace,
        ELECTION__RETRY_S="0.2",
        POLICY__REGISTRY=str(store.root),
        SOURCE__LEDGER=ledger[1],
        ROUNDS__IMAGE=IMAGE,
        SERVER__PORT="0",
        SERVER__METRICS_PORT="0",
    )
    try:
        settle(operator, size.loops, size.loops - size.loops // 10)
        versions, before, cpu = crowd.versions(), operator.figures(), operator.cpu_s()
        took = [look(operator, size.loops) for _ in range(size.looks)]
        after, spent = operator.figures(), operator.cpu_s() - cpu
        written = after["writes"] - before["writes"]
        print(
            f"{size.loops} loops, {len(versions)} objects: longest look {max(took):.1f} s, {spent / size.looks:.2f} "
            f"CPU-s a look, {operator.rss_mb():.0f} MB at most, {written} writes in {size.looks} looks"
        )
        assert after["PreferenceLoop"] - before["PreferenceLoop"] >= size.loops * size.looks
        assert max(took) <= LOOK_S
        assert operator.rss_mb() <= RSS_MB
        assert written <= WRITES_AN_HOUR * len(versions) * size.looks / LOOKS_AN_HOUR
        # More than is asked: nothing at all is written.
        assert crowd.versions() == versions
        assert after["errors"] == 0
        # Control: a loop to which something happens is.
        crowd.suspend("loop-0000")
        operator.wait(lambda: operator.figures()["writes"] > after["writes"], "a write")
    finally:
        operator.end()


def settle(operator: Operator, loops: int, rounds: int) -> None:
    """Until a whole look has written nothing."""
    operator.wait(lambda: operator.figures()["PolicyRollout"] > 0, "first look")
    written = -1
    while written != operator.figures()["writes"]:
        written, seen = operator.figures()["writes"], operator.figures()["PolicyRound"]
        operator.wait(partial(looked, operator, "PolicyRound", seen + rounds), "look at rounds")
        look(operator, loops)


def looked(operator: Operator, kind: str, until: int) -> bool:
    return operator.figures()[kind] >= until


def look(operator: Operator, loops: int) -> float:
    """Seconds that the next whole look at the loops takes."""
    before = operator.figures()["PreferenceLoop"]
    operator.wait(lambda: operator.figures()["PreferenceLoop"] > before, "look")
    return operator.wait(lambda: operator.figures()["PreferenceLoop"] >= before + loops, "end of the look")

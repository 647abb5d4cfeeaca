"""A gateway before a loopback server, a feedback process that owns the log, a registry that says who is stable."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rejoinder.cli.supervisor import free_ports
from rejoinder.clients import PolicyClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.codec import encode
from rejoinder.core.types import Feedback, Interaction
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.registry.store import FolderStore
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.headers import event_of
from rejoinder.stream.port import NewRecord

from tests.chaos.harness import Process, spooled
from tests.patient import Patient
from tests.system.gateway.upstream import Upstream
from tests.system.logs import everything

POLICY = "assist"
KEY = "a secret of a test, long enough"


def gateway(
    folder: Path, feedback: int, settings: Mapping[str, str], command: Sequence[str] = ()
) -> tuple[Process, str]:
    """The process, not started, and the base URL of its API. command: another program than the gateway's own."""
    key = folder / "feedback.key"
    key.write_text(KEY)
    port = free_ports(1)[0]
    given = {
        "HTTP__PORT": str(port),
        "RECORD__FEEDBACK": f"127.0.0.1:{feedback}",
        "RECORD__SPOOL": str(folder / "gateway-spool"),
        "BROWSER__KEY_FILE": str(key),
        **settings,
    }
    program = [sys.executable, *(command or ("-m", "rejoinder.gateway"))]
    return Process(program, folder, "gateway", given), f"http://127.0.0.1:{port}/v1"


def published(registry: Path) -> tuple[Version, Version]:
    """A registry's first version, which is stable, and another one."""
    store = FolderStore(registry)
    artefacts = Artefacts(store, registry / "artefacts")
    base, other = Version("assist-base", "b" * 64), Version("assist-r0001", "c" * 64)
    for version, made_from in ((base, ""), (other, base.digest)):
        artefacts.publish(Manifest(POLICY, version.version, version.digest, base_digest=made_from))
    advance(store, ServedPointer(POLICY, 1, base.version, base.digest))
    return base, other


class World:
    """owns: both processes and the log's follower; the server is the test's. close() leaves nothing behind."""

    def __init__(
        self,
        folder: Path,
        upstream: Upstream,
        settings: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._command = command
        self.upstream = upstream
        self.log_path = folder / "log.db"
        self.base, self.canary = published(folder / "registry")
        self.table = ArmsTable(policy=POLICY, stable=self.base, holdout_share=0.0)
        self.feedback = Process(
            [sys.executable, "-m", "rejoinder.feedback"], folder, "feedback", {"LOG__PATH": str(self.log_path)}
        )
        self._settings = {
            "UPSTREAM__KIND": "openai",
            "UPSTREAM__OPENAI__URL": upstream.url,
            "UPSTREAM__OPENAI__STABLE": self.base.version,
            "UPSTREAM__OPENAI__POLL_S": "0.1",
            "ARMS__REGISTRY": str(folder / "registry"),
            "ARMS__LOG_FILE": str(self.log_path),
            "ARMS__HOLDOUT_SHARE": "0",
            "ARMS__REGISTRY_POLL_S": "0.2",
            **(settings or {}),
        }
        self._follower: FollowerLog | None = None
        self._client: PolicyClient | None = None
        self.gateway: Process | None = None
        self.url = ""

    def start(self) -> World:
        self.feedback.start()
        self.gateway, self.url = gateway(self.folder, self.feedback.port, self._settings, self._command)
        self.gateway.start()
        return self

    @property
    def arms(self) -> PolicyClient:
        """ListArms, as the rollout engine asks for it."""
        if self._client is None:
            assert self.gateway is not None
            self._client = PolicyClient(Patient(f"127.0.0.1:{self.gateway.port}", deadline_s=60.0))
        return self._client

    def begin_canary(self, weight: float) -> None:
        now = time.time()
        self.table = replace(
            self.table,
            generation=self.table.generation + 1,
            written_at=now,
            canary=self.canary,
            steps=(Step(weight, now),),
            # None lapses within a test, however slow the machine.
            lease=Lease(600.0, now, now + 600.0),
        )
        with LogOwnerClient(Patient(f"127.0.0.1:{self.feedback.port}")) as owner:
            owner.append([NewRecord("arms", POLICY.encode(), encode(self.table))])

    def interactions(self) -> list[Interaction]:
        return self._read("interactions")  # type: ignore[return-value]

    def feedbacks(self) -> list[Feedback]:
        return self._read("feedback")  # type: ignore[return-value]

    def _read(self, topic: str) -> list[object]:
        """What the log holds now, read beside its owner."""
        if self._follower is None:
            self._follower = FollowerLog(str(self.log_path), None)  # type: ignore[arg-type]
        return [event_of(record) for record in everything(self._follower, topic)]

    def spooled(self) -> int:
        """Bytes that wait in the gateway's spool."""
        return spooled(self.folder / "gateway-spool")

    def metric(self, name: str) -> float:
        """As Prometheus would read it, 0 while there is none; needs SERVER__METRICS_PORT."""
        port = json.loads((self.folder / "gateway.ready").read_text())["metrics_port"]
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"rejoinder_{name}"))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        for process in (self.gateway, self.feedback):
            if process is not None:
                process.close()
        if self._follower is not None:
            self._follower.close()

"""A registry with a tiny base and two adapters, a feedback process that owns the log, a policy process beside it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rejoinder.clients import PolicyClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.clients.policy import End, GenerateAsk, Part, Start
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.codec import encode
from rejoinder.core.types import Feedback, Interaction, Message, Role, Sampling
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.registry.bootstrap import bootstrap
from rejoinder.registry.store import FolderStore
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.headers import event_of
from rejoinder.stream.port import NewRecord

from tests.chaos.harness import Process, spooled
from tests.patient import Patient
from tests.system.logs import everything
from tests.tinypolicy import ADAPTERS, tiny_policy

POLICY = "assist"


def asking(text: str = "list three rivers", **fields: object) -> GenerateAsk:
    """A question whose answer is 24 tokens long unless it says otherwise."""
    plain = {"messages": (Message(Role.USER, text),), "sampling": Sampling(1.0, max_tokens=24), "user_id": "u"}
    return GenerateAsk(**{**plain, **fields})


def text_of(parts: list[Part]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


class World:
    """owns: both processes, the log's follower and the clients it gave out; close() leaves nothing behind.

    first: what each process runs before its command.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        policy: Sequence[str] = ("-m", "rejoinder.policy"),
        feedback: Sequence[str] = ("-m", "rejoinder.feedback"),
        export: Path | None = None,
        first: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder
        self._command = [sys.executable, *policy]
        self.log_path = folder / "log.db"
        store = FolderStore(folder / "registry")
        self.artefacts = Artefacts(store, folder / "registry" / "artefacts")
        made = tiny_policy()
        self.pointer = bootstrap(store, self.artefacts, POLICY, export or made / "export", now=time.time())
        self.base = Version(self.pointer.version, self.pointer.digest)
        # Of the tiny base; another export knows no adapters.
        self.versions = [self._published(number, made / name) for number, name in enumerate(ADAPTERS, 1)]
        self.table = ArmsTable(policy=POLICY, stable=self.base, holdout_share=0.0)
        log = {"LOG__PATH": str(self.log_path)}
        self.feedback = Process([sys.executable, *feedback], folder, "feedback", log, first)
        self._first = first
        self._settings = dict(settings or {})
        self.policy: Process | None = None
        self._clients: list[PolicyClient] = []
        self._follower: FollowerLog | None = None

    def start(self) -> World:
        self.feedback.start()
        self.start_policy()
        return self

    def start_policy(self, timeout_s: float = 60.0) -> None:
        if self.policy is None:
            self.policy = Process(
                self._command,
                self.folder,
                "policy",
                {
                    "MODEL__REGISTRY": str(self.folder / "registry"),
                    "ENGINE__THREADS": "1",
                    "ARMS__LOG_FILE": str(self.log_path),
                    "ARMS__HOLDOUT_SHARE": "0",
                    "ARMS__REGISTRY_POLL_S": "0.2",
                    "RECORD__FEEDBACK": f"127.0.0.1:{self.feedback.port}",
                    "RECORD__SPOOL": str(self.folder / "spool"),
                    **self._settings,
                },
                self._first,
            )
        self.policy.start(timeout_s)

    def client(self, **options: object) -> PolicyClient:
        assert self.policy is not None
        connection = Patient(f"127.0.0.1:{self.policy.port}", deadline_s=60.0, tries=1)
        self._clients.append(PolicyClient(replace(connection, **options)))
        return self._clients[-1]

    def ask(self, ask: GenerateAsk, client: PolicyClient | None = None) -> tuple[Start, str, End]:
        """The whole answer of a question."""
        parts = list((client or self.client()).generate(ask))
        start, end = parts[0], parts[-1]
        assert isinstance(start, Start)
        assert isinstance(end, End)
        return start, text_of(parts), end

    def decide(self, **changes: object) -> ArmsTable:
        """Appends the next table, as whoever decides on the rollout does."""
        now = time.time()
        self.table = replace(self.table, generation=self.table.generation + 1, written_at=now, **changes)
        self._append(self.table)
        return self.table

    def canary(self, version: Version, weight: float, ttl_s: float = 600.0) -> None:
        """ttl_s: of a lease that nobody renews; by default none lapses within a test, however slow the machine."""
        now = time.time()
        self.decide(canary=version, steps=(Step(weight, now),), lease=Lease(ttl_s, now, now + ttl_s))

    def renew(self) -> None:
        lease, now = self.table.lease, time.time()
        assert lease is not None
        self.table = replace(self.table, lease=Lease(lease.ttl_s, now, now + lease.ttl_s))
        self._append(self.table)

    def interactions(self) -> list[Interaction]:
        return self._read("interactions")

    def feedbacks(self) -> list[Feedback]:
        return self._read("feedback")

    def _read(self, topic: str) -> list[Any]:
        """What the log holds now, read beside its owner."""
        if self._follower is None:
            self._follower = FollowerLog(str(self.log_path), None)  # type: ignore[arg-type]
        return [event_of(record) for record in everything(self._follower, topic)]

    def spooled(self) -> int:
        """Bytes that wait in the policy's spool."""
        return spooled(self.folder / "spool")

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in (self.policy, self.feedback):
            if process is not None:
                process.close()
        if self._follower is not None:
            self._follower.close()

    def _append(self, table: ArmsTable) -> None:
        with LogOwnerClient(Patient(f"127.0.0.1:{self.feedback.port}")) as owner:
            owner.append([NewRecord("arms", table.policy.encode(), encode(table))])

    def _published(self, number: int, made: Path) -> Version:
        version = Version(f"assist-r{number:04d}", self.artefacts.put(made))
        self.artefacts.publish(
            Manifest(POLICY, version.version, version.digest, base_digest=self.base.digest, round=number)
        )
        return version

    def damage(self, version: Version) -> None:
        """Changes a version's files behind its digest."""
        folder = self.artefacts.path(version.digest)
        shutil.copy(tiny_policy() / "a1" / "adapter.onnx_adapter", folder / "another")

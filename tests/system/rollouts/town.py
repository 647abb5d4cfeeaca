"""Feedback, ledger and rollout engine as processes, a policy replica in this one, and people who use it.

The replica is the policy room's own follower, versions and service, without a model: who is served what is real, the
words are not. The extractor is played here by the worker's own protocol: read, publish, acknowledge.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import shutil
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rejoinder.clients import FeedbackClient, LedgerClient, RolloutClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.clients.rollouts import Rollout
from rejoinder.core.arms import ArmsTable, Version, bucket, unit_id
from rejoinder.core.clock import SystemClock
from rejoinder.core.codec import decode
from rejoinder.core.ids import derived_id, uuid7
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import (
    ArmKind,
    AttemptStatus,
    Feedback,
    FollowUp,
    Interaction,
    Message,
    Polarity,
    Role,
    Signal,
)
from rejoinder.policy.service import PolicyService
from rejoinder.policy.versions import ADAPTER_FILE, Versions
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Made
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.registry.store import FolderStore
from rejoinder.rollout.assignment import Caller, assign
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.arms.follow import ArmsFollower, Registry, table_of
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import ServerSettings
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.second import Auditor
from rejoinder.signals.worker import Extractor, signals_of
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import Record
from rejoinder.v1.policy_pb2_grpc import add_PolicyServiceServicer_to_server

from tests.chaos.harness import Process, wait_until
from tests.patient import Patient

POLICY = "assist"
HOLDOUT = 0.2
PLAN: dict[str, Any] = {
    "steps": [{"weight": 0.5, "duration_s": 1.0, "deadline_s": 100.0}],
    "margin": 0.2,
    "base_rate": 0.9,
    "reply_rate": 0.9,
    "reply_margin": 0.3,
    "min_units": 20,
    "maturity_s": 1.0,
    "lease_ttl_s": 3.0,
    "watch_s": 1.0,
    "vetoes": [{"name": "failures", "base_rate": 0.01}],
}


_LEXICON = EXTRACTORS["audit-lexicon"]
#: The second judge, of all replies: some of them would take thousands of people to speak.
AUDITOR = Auditor(Extractor(_LEXICON, _LEXICON.with_params(), Ports()), 1.0, "town")


@dataclass(frozen=True)
class Taste:
    """pleased share; reply shares of the pleased and of the displeased; share of answers that no log ever gets. polite:
    the displeased begin with thanks, which fools the first judge."""

    pleased: float = 0.9
    replies: tuple[float, float] = (0.95, 0.95)
    lost: float = 0.0
    polite: bool = False


@dataclass(frozen=True)
class Person:
    """What somebody is like, drawn before they come: the same of everybody, whatever becomes of them. place: on which
    side of the canary's weight they fall; the others are compared with a taste's shares."""

    held: bool
    place: float
    lost: float
    pleased: float
    replies: float

    @classmethod
    def drawn(cls, rng: random.Random) -> Person:
        return cls(rng.random() < HOLDOUT, *(rng.random() for _ in range(4)))

    def named(self, table: ArmsTable) -> str:
        """An id that the table's own hashes take for this person.

        Arms drawn by ids of chance would make every run another rollout, of which the verdict gets one in twenty wrong
        as its alpha allows, and a test of it with them. The salt is new in each rollout, so ids are tried until one
        falls where the seed says.
        """
        weight = table.weight if table.canary else 0.0
        while True:
            name = uuid7()
            unit = unit_id("", name, "", name, table.unit)
            if (bucket(unit, table.salts.holdout) < HOLDOUT) != self.held:
                continue
            if (bucket(unit, table.salts.assignment) < weight) == (self.place < weight):
                return name


class NoModel:
    """Loads in no time."""

    def load_adapter(self, name: str, path: Path) -> Future[None]:
        return _done()

    def unload_adapter(self, name: str) -> Future[None]:
        return _done()


class Loads:
    """The part of the generator that a rollout calls: a version by name is loaded."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    async def likelihood(
        self, messages: Any, continuations: Any, version: str, deadline: float | None
    ) -> tuple[Version, list[float], list[int]]:
        return await asyncio.to_thread(self._versions.named, version), [0.0], [1]


class ReplicaServer:
    """A policy replica in a thread of its own. owns: the thread, the server, the view."""

    def __init__(self, registry: Path, log: Path) -> None:
        store = FolderStore(registry)
        artefacts = Artefacts(store, registry / "artefacts")
        pointer = current(store, POLICY)
        self.versions = Versions(artefacts, POLICY, NoModel(), pointer.digest, 4)
        self.versions.load(Version(pointer.version, pointer.digest))
        self.view = ArmsView(table_of(pointer, HOLDOUT), SystemClock())
        self._topic = FollowerLog(str(log), None)  # type: ignore[arg-type]
        events = EventLog(logging.Logger("policy", logging.CRITICAL))
        follower = ArmsFollower(
            self.view, self.versions, Registry(artefacts, POLICY), pointer, self._topic, events, 0.05, 0.2
        )
        self.assignments = AssignmentCounter(uuid7())
        service = PolicyService(Loads(self.versions), self.view, self.versions, self.assignments, None)  # type: ignore[arg-type]

        async def build(chassis: Chassis) -> Room:
            add = partial(add_PolicyServiceServicer_to_server, service)
            return Room(add=(add,), background=(follower.run,))

        self._server = Server(ServerSettings(), build, Chassis("policy", SystemClock(), Metrics(), events))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replica", daemon=True)
        self._thread.start()
        self._wait(self._server.start())
        self.target = f"127.0.0.1:{self._server.port}"

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._wait(self._server.drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._topic.close()


class Town:
    """owns: the processes, the replica, the people's threads of thought; leaves nothing behind when closed."""

    def __init__(self, folder: Path, versions: tuple[str, ...], **plan: Any) -> None:
        """plan: what differs from PLAN."""
        self.folder = folder
        self.registry = folder / "registry"
        self.store = FolderStore(self.registry)
        self._publish(("base", *versions))
        (folder / "key").write_text("a key of the deployment")
        self.log_file = folder / "log.db"
        self.feedback = self._process("feedback", {"LOG__PATH": str(self.log_file)})
        owner = f"127.0.0.1:{self.feedback.port}"
        self.ledger = self._process(
            "ledger",
            {
                "LOG__PATH": str(self.log_file),
                "LOG__OWNER": owner,
                "LOG__WAIT_S": "0.05",
                "STORE__PATH": str(folder / "ledger.db"),
                "ERASURE__KEY_FILE": str(folder / "key"),
            },
        )
        self.replica = ReplicaServer(self.registry, self.log_file)
        self.rollouts = self._process(
            "rollouts",
            {
                "POLICY__REGISTRY": str(self.registry),
                "POLICY__REPLICAS": json.dumps([self.replica.target]),
                "POLICY__HOLDOUT_SHARE": str(HOLDOUT),
                "SOURCE__LOG_FILE": str(self.log_file),
                "SOURCE__OWNER": owner,
                "SOURCE__LEDGER": f"127.0.0.1:{self.ledger.port}",
                "ENGINE__MEMORY": str(folder / "rollouts.db"),
                "ENGINE__POLL_S": "0.1",
                "PLAN": json.dumps({**PLAN, **plan}),
            },
        )
        self._recorder = FeedbackClient(Patient(owner))
        self._owner = LogOwnerClient(Patient(owner))
        self._known = LedgerClient(Patient(f"127.0.0.1:{self.ledger.port}"))
        self.engine = RolloutClient(Patient(f"127.0.0.1:{self.rollouts.port}"))
        self._reader = FollowerLog(str(self.log_file), None)  # type: ignore[arg-type]
        self._read_to = 0
        self.shown: list[Interaction] = []

    def _publish(self, names: tuple[str, ...]) -> None:
        artefacts = Artefacts(self.store, self.registry / "artefacts")
        base = ""
        for name in names:
            made = self.folder / name
            made.mkdir()
            (made / ADAPTER_FILE).write_text(name)
            digest = artefacts.put(made)
            shutil.rmtree(made)
            artefacts.publish(Made(POLICY, name, digest, base, "adapter" if base else "base"))
            base = base or digest
        advance(self.store, ServedPointer(POLICY, 1, "base", base, decided_by="setup"))

    def _process(self, service: str, settings: dict[str, str]) -> Process:
        command = [sys.executable, "-m", f"rejoinder.{service}"]
        process = Process(command, self.folder, service, settings)
        process.start()
        return process

    def status(self) -> Rollout:
        return self.engine.get(POLICY)

    def start(self, version: str, **plan: Any) -> Rollout:
        return self.engine.start(POLICY, version, json.dumps(plan) if plan else "")

    def people(self, count: int, tastes: dict[str, Taste], rng: random.Random) -> None:
        """New people ask the replica once; some answer; what they said is read."""
        answers, replies = [], []
        for _ in range(count):
            person, now = Person.drawn(rng), time.time()
            table, ok = self.replica.view.table, self.replica.view.grant().ok
            loaded = self.replica.versions.loaded
            user = person.named(table)
            drawn = assign(table, Caller("", user, "", user), now=now, lease_ok=ok, loaded=loaded)
            self.replica.assignments.add(table.salts.assignment, drawn)
            shown = drawn.served(table)
            answer = Interaction(
                event_id=f"e-{user}",
                interaction_id=user,
                attempt_id=f"a-{user}",
                user_id=user,
                messages=(Message(Role.USER, "how hot is it"),),
                response="68 F",
                served=shown,
                status=AttemptStatus.COMPLETED,
                occurred_at=now,
                source="serve",
            )
            answers.append(answer)
            taste = tastes.get(shown.version, Taste())
            if person.lost < taste.lost:
                answers.pop()
                continue
            pleased = person.pleased < taste.pleased
            if person.replies < taste.replies[0 if pleased else 1]:
                cross = "thanks, but that is wrong and useless" if taste.polite else "no"
                said = FollowUp("thanks" if pleased else cross)
                replies.append(Feedback(event_id=f"f-{user}", interaction_id=user, user_id=user, kind=said))
        self._recorder.record_interactions(answers)
        self._recorder.record_feedback(replies)
        self.shown += answers
        self.extract()

    def extract(self) -> None:
        """The worker's protocol: published, then acknowledged by the next call."""
        while found := self._known.evidence("signals:town", self._read_to, 1000):
            signals = [_signal(each.interaction, each.feedback) for each in found]
            signals += signals_of((), found, AUDITOR)
            self._owner.append([record_of(signal, "rejoinder/signals") for signal in signals])
            self._read_to = found[-1].number

    def until(self, true: Any, tastes: dict[str, Taste], rng: random.Random, timeout_s: float = 60.0) -> Rollout:
        """People come until it is so; the last status."""
        deadline = time.monotonic() + timeout_s
        while not true(status := self.status()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"it did not come: {status}")
            self.people(30, tastes, rng)
        return status

    def tables(self) -> list[tuple[Record, ArmsTable]]:
        """All tables that were ever written, in the order of the log."""
        found = []
        for part in self._reader.end_offsets("arms"):
            at = 0
            while records := self._reader.read("arms", part, at):
                found += [(record, decode(record.value, ArmsTable)) for record in records]
                at = records[-1].offset + 1
        return found

    def wait_for_table(self, true: Any) -> None:
        """Until the replica has a table of which it is so."""
        wait_until(lambda: true(self.replica.view.table), "a table")

    def close(self) -> None:
        for client in (self.engine, self._known, self._owner, self._recorder):
            with suppress(Exception):
                client.close()
        self._reader.close()
        self.rollouts.close()
        self.replica.close()
        self.ledger.close()
        self.feedback.close()


def canaries(shown: list[Interaction]) -> list[Interaction]:
    return [answer for answer in shown if answer.served and answer.served.arm is ArmKind.CANARY]


def _signal(answer: Interaction, said: Feedback) -> Signal:
    words = said.kind.text if isinstance(said.kind, FollowUp) else ""
    return Signal(
        tenant=said.tenant,
        event_id=derived_id(said.event_id, answer.attempt_id, "minilm", "town"),
        source_event_id=said.event_id,
        interaction_id=answer.interaction_id,
        attempt_id=answer.attempt_id,
        user_id=said.user_id,
        polarity=Polarity.SAT if words.startswith("thanks") else Polarity.DSAT,
        confidence=0.9,
        extractor="minilm",
        extractor_version="town",
        occurred_at=said.accepted_at,
    )


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future

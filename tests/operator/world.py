"""A cluster in which a whole loop lives: API server, registry, log, replicas, people; Jobs that end as told; and
operators that may die before and after every write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.arms import Version
from rejoinder.core.errors import ClaimTaken, RejoinderError
from rejoinder.core.metrics import Metrics
from rejoinder.registry.artefacts import Version as Made
from rejoinder.registry.claims import claims, close_round
from rejoinder.registry.store import create_json
from rejoinder.rollouts.acts import Acts
from rejoinder.rollouts.replicas import Replicas
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide.jobs import Pods
from rejoinder_operator.decide.trigger import Evidence
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.evidence import Evidences
from rejoinder_operator.ports.registry import Registry
from rejoinder_operator.ports.writes import Writes
from rejoinder_operator.reconcile.acting import Acting
from rejoinder_operator.reconcile.election import Election, ElectionRules
from rejoinder_operator.reconcile.loops import LoopRules, Loops
from rejoinder_operator.reconcile.rollouts import Rollouts
from rejoinder_operator.reconcile.rounds import Rounds
from rejoinder_operator.reconcile.statuses import Statuses
from rejoinder_operator.verdicts import Board

from tests.operator.double import FakeCluster
from tests.rollouts import world as people

NS = "team"
BASE, EXPORT = "b" * 64, "e" * 64
IMAGE = "registry.example/rounds@sha256:" + "1" * 64
GOOD, NEW = Version("base", "4" * 64), Version("assist-r0001", "5" * 64)

LOOP: dict[str, Any] = {
    "policy": "assist",
    "trigger": {"minEvidence": 100, "minInterval": "1h"},
    "pairs": {"builders": [{"name": "edits"}]},
    "objective": {"params": {"beta": "0.1"}},
    "baseModel": {"path": "base", "digest": BASE, "export": EXPORT},
    "volume": {"claimName": "models"},
    "gates": [{"name": "pair_accuracy"}],
    "rollout": {"templateRef": {"name": "template"}},
}
#: Small enough to be decided within a few hundred people.
ROLLOUT: dict[str, Any] = {
    "target": {"policy": "assist"},
    "lease": "45s",
    "steps": [{"weight": 50, "duration": "10s", "deadline": "4m"}],
    "analysis": {
        "maturity": "2s",
        "margin": "0.2",
        "baseRate": "0.9",
        "replyRate": "0.9",
        "replyMargin": "0.3",
        "minUnits": 20,
        "vetoes": [{"name": "failures", "baseRate": "0.01"}, {"name": "length", "baseRate": "0.05"}],
    },
    "watch": {"duration": "3s"},
}
#: A route that follows.
TRAFFIC: dict[str, Any] = {
    "route": "assist",
    "gateway": "public",
    "stable": {"name": "blue", "port": 8080},
    "canary": {"name": "green", "port": 8080},
}


class Killed(BaseException):
    """kill -9 at a failpoint: nothing catches it."""


@dataclass
class Pending:
    """The ledger about a loop's evidence."""

    pieces: int = 1_000
    away: bool = False

    def evidence(self, policy: str, spec: LoopSpec, now: float) -> Evidence:
        if self.away:
            raise RejoinderError("away")
        return Evidence(self.pieces)


@dataclass
class Process:
    """One operator process: all that it holds dies with it."""

    world: World
    identity: str
    cache: Cache = field(default_factory=Cache)
    killed_at: tuple[str, str] | None = None
    passed: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = self.world
        self.acts: dict[str, Acts] = {}
        self.election = Election(ElectionRules(NS, "operator", self.identity), world.cluster, world.inner.clock)
        self.writes = Writes(world.cluster, world.inner.artefacts, self.acts_of, self.election.guard, self.passing)
        registry = Registry(world.inner.store)
        clock = world.inner.clock
        statuses = Statuses(self.writes, self.cache, clock, self.identity)
        acting = Acting(self.writes, world.cluster, self.cache, registry)
        self.board = Board(world.metrics)
        evidences = Evidences(
            world.inner.store, world.inner.people, self.writes.evidence, ("minilm",), 300.0, every_s=5.0
        )
        self.rollouts = Rollouts(
            self.cache, registry, self.acts_of, evidences, self.writes, statuses, self.board, clock, 0.1
        )
        loops = Loops(LoopRules(IMAGE), self.cache, registry, world.pending, acting, statuses, clock)
        rounds = Rounds(Pods(), self.cache, registry, acting, statuses, clock, lambda: world.served)
        self.reconcilers: dict[str, Callable[[str, str], float | None]] = {
            "PreferenceLoop": loops.reconcile,
            "PolicyRound": rounds.reconcile,
            "PolicyRollout": self.rollouts.reconcile,
        }

    def acts_of(self, policy: str) -> Acts:
        inner = self.world.inner
        if policy not in self.acts:
            topic = ArmsTopic(inner.log, inner.owner, policy)
            self.acts[policy] = Acts(policy, inner.artefacts, topic, Replicas(inner.replicas, policy, lambda *_: None))
        return self.acts[policy]

    def passing(self, side: str, name: str) -> None:
        self.passed.append((side, name))
        if self.killed_at == (side, name):
            self.killed_at = None
            raise Killed

    def sync(self) -> None:
        """What watches bring."""
        for kind in ("PreferenceLoop", "PolicyRound", "PolicyRollout", "Job", *self.world.served):
            items = list(self.world.cluster.list(kind, "").items)
            for item in items:
                self.cache.put(kind, item)
            self.cache.keep(kind, {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items})

    def look(self) -> dict[str, str]:
        """One look at everything; the reasons of those that failed."""
        failed = {}
        if not self.election.try_once(self.writes):
            return {"": "not leading"}
        for kind, reconcile in self.reconcilers.items():
            self.sync()
            for item in self.cache.list(kind):
                name = item["metadata"]["name"]
                try:
                    reconcile(NS, name)
                except RejoinderError as error:
                    failed[name] = error.reason
        return failed


class World:
    """owns: everything but the processes. jobs: how the Job of a stage ends; a stage that is not in it never does."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(people, "GOOD", GOOD)
        patch.setattr(people, "NEW", NEW)
        # A hundred lives are lived here; that an object is durable is the registry's own test.
        patch.setattr(os, "fsync", lambda fd: None)
        self.inner = people.World(folder)
        for version in (GOOD, NEW):
            made = Made("assist", version.version, version.digest, base_digest=EXPORT)
            path = folder / "registry" / "versions" / "assist" / f"{version.version}.json"
            path.write_text(json.dumps(vars(made)))
        self.cluster = FakeCluster(self.inner.clock)
        self.metrics = Metrics()
        self.pending = Pending()
        self.jobs: dict[str, str] = {"prepare": "Complete", "train": "Complete", "finish": "Complete"}
        self.outcome = "published"
        self.traffic: dict[str, Any] = {}
        self.served: frozenset[str] = frozenset()
        self._processes = 0

    def process(self, killed_at: tuple[str, str] | None = None) -> Process:
        self._processes += 1
        return Process(self, f"operator-{self._processes}", killed_at=killed_at)

    def begin(self, **loop: Any) -> None:
        """A loop and its template."""
        self.make("PolicyRollout", "template", ROLLOUT | ({"traffic": self.traffic} if self.traffic else {}))
        self.make("PreferenceLoop", "assist", LOOP | loop)

    def make(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        meta = {"name": name, "namespace": NS}
        self.cluster.create({"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": dict(spec)})

    def second(self, people: int = 40) -> None:
        """A second passes: people come, Jobs end."""
        self.inner.meet(people)
        self.inner.shadowed(people)
        self.inner.clock.advance(1.0)
        for kind in ("Job", *self.served):
            for job in self.cluster.all(kind):
                self._work(job)

    def live(self, process: Process, until: Callable[[], bool], seconds: int = 400, people: int = 40) -> Process:
        """Seconds pass until something holds; a killed process is followed by another."""
        for _ in range(seconds):
            self.second(people)
            try:
                process.look()
            except Killed:
                process = self.process()
            if until():
                return process
        raise AssertionError(f"never: {self.told()}")

    def status(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(kind, NS, name).get("status", {})

    def told(self) -> dict[str, Any]:
        kinds = ("PreferenceLoop", "PolicyRound", "PolicyRollout")
        return {
            f"{kind}/{item['metadata']['name']}": {
                name: value for name, value in item.get("status", {}).items() if name != "engine"
            }
            for kind in kinds
            for item in self.cluster.all(kind)
        }

    def _work(self, job: dict[str, Any]) -> None:
        """The Job controller and the stage's pod."""
        stage = job["metadata"]["labels"]["rejoinder.dev/stage"]
        ends = self.jobs.get(stage)
        if ends is None or job["spec"]["suspend"] or "conditions" in job.get("status", {}):
            return
        store = self.inner.store
        if ends == "Complete" and stage == "prepare":
            paths = {name: f"rounds/assist/000001/{name}" for name in ("manifest", "pairs", "out")}
            self._once(lambda: create_json(store, "rounds/assist/000001/train.json", {**paths, "base": "base"}))
        if ends == "Complete" and stage == "finish":
            claim = claims(store, "assist")[0]
            facts = {"version": NEW.version, "reasons": [] if self.outcome == "published" else ["pair_accuracy"]}
            self._once(lambda: close_round(store, claim, self.outcome, self.inner.clock.now(), facts))
        complete = "Completed" if job["kind"] == "JobSet" else "Complete"
        kind, reason = (complete, "") if ends == "Complete" else ("Failed", ends)
        condition = {"type": kind, "status": "True", "reason": reason}
        self.cluster.set_status(job["kind"], NS, job["metadata"]["name"], {"conditions": [condition]})

    @staticmethod
    def _once(make: Callable[[], None]) -> None:
        try:
            make()
        except ClaimTaken:
            return

"""The operator: `python -m rejoinder_operator [--settings FILE]`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.ledger import LedgerClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.clients.policy import PolicyClient
from rejoinder.core.errors import BadSettings
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.store import open_store
from rejoinder.rollouts.acts import Acts
from rejoinder.rollouts.kafkaowner import KafkaOwner
from rejoinder.rollouts.replicas import Replicas
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import Log

from rejoinder_operator.decide.backends import KINDS
from rejoinder_operator.decide.jobs import Pods
from rejoinder_operator.ports.cache import Cache
from rejoinder_operator.ports.evidence import Evidences
from rejoinder_operator.ports.kube import KubeCluster, open_client
from rejoinder_operator.ports.ledger import LedgerEvidence
from rejoinder_operator.ports.registry import Registry
from rejoinder_operator.ports.replicas import Resolved
from rejoinder_operator.ports.writes import WRITES, Writes
from rejoinder_operator.reconcile.acting import Acting
from rejoinder_operator.reconcile.election import Election, ElectionRules
from rejoinder_operator.reconcile.loops import LoopRules, Loops
from rejoinder_operator.reconcile.rollouts import Rollouts
from rejoinder_operator.reconcile.rounds import Rounds
from rejoinder_operator.reconcile.runner import Runner, RunnerRules
from rejoinder_operator.reconcile.statuses import Statuses
from rejoinder_operator.settings import OperatorSettings, SourceTheme
from rejoinder_operator.verdicts import Board, VerdictServer

#: A look must not wait longer for anybody than a lease can spare.
_PATIENCE_S = 5.0


def passing(failpoint: str, chassis: Chassis) -> Callable[[str, str], None]:
    """What hears of every write. Raises BadSettings for a failpoint that is none."""
    if failpoint and failpoint not in {f"{side}:{name}" for side in ("before", "after") for name in WRITES}:
        raise BadSettings(f"failpoint must be before: or after: one of {', '.join(WRITES)}")

    def heard(side: str, name: str) -> None:
        if failpoint == f"{side}:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        if side == "after":
            chassis.metrics["operator_writes_total"].labels(name).inc()

    return heard


async def build(settings: OperatorSettings, chassis: Chassis) -> Room:
    settings.check()
    clock, rules = chassis.clock, settings.election
    identity = rules.identity or socket.gethostname()
    cluster = KubeCluster(await asyncio.to_thread(open_client, settings.watch.kubeconfig))
    store = await asyncio.to_thread(open_store, settings.policy.registry)
    # Only its store is used: whoever decides opens no model.
    artefacts, registry = Artefacts(store, Path(tempfile.gettempdir())), Registry(store)
    source = _Source(settings.source, settings.policy.replicas, artefacts, chassis)
    cached, acts = Cache(), cache(source.acts)
    election = Election(
        ElectionRules(rules.namespace, rules.name, identity, rules.duration_s, rules.renew_s, rules.retry_s),
        cluster,
        clock,
    )
    writes = Writes(cluster, artefacts, acts, election.guard, passing(settings.failpoint, chassis))
    statuses = Statuses(writes, cached, clock, identity)
    acting = Acting(writes, cluster, cached, registry)
    board = Board(chassis.metrics)
    rounds = settings.rounds
    pods = Pods(rounds.service_account, rounds.config_map, rounds.secret)
    evidences = Evidences(store, source.ledger, writes.evidence, settings.source.judges, settings.source.behind_s)
    share = settings.policy.holdout_share
    pending = LedgerEvidence(source.ledger, share)
    loops = Loops(LoopRules(rounds.image, rounds.evidence_s), cached, registry, pending, acting, statuses, clock)
    reconcilers = {
        "PreferenceLoop": loops.reconcile,
        "PolicyRound": Rounds(pods, cached, registry, acting, statuses, clock, lambda: runner.served()).reconcile,
        "PolicyRollout": Rollouts(cached, registry, acts, evidences, writes, statuses, board, clock, share).reconcile,
    }
    watch = settings.watch
    backends = tuple(KINDS[each] for each in rounds.backends)
    running = RunnerRules(watch.namespaces, watch.workers, watch.resync_s, rules.retry_s, backends)
    jitter = random.SystemRandom()
    runner = Runner(
        running, cluster, cached, election, writes, reconcilers, clock, chassis.metrics, chassis.log, jitter
    )
    verdicts = settings.verdicts
    answers = None if verdicts.port is None else VerdictServer(verdicts.host, verdicts.port, board, election.leads)
    if answers is not None:
        chassis.log.info("verdicts_served", port=answers.port)

    async def close() -> None:
        if answers is not None:
            await asyncio.to_thread(answers.close)
        for each in (source, cluster):
            await asyncio.to_thread(each.close)

    return Room(background=(partial(_lead, runner),), close=close)


class _Source:
    """owns: the clients of ledger, log and replicas."""

    def __init__(self, source: SourceTheme, replicas: str, artefacts: Artefacts, chassis: Chassis) -> None:
        self._source = source
        self._artefacts = artefacts
        self._chassis = chassis
        self._token, self._tls = token_in(source.token_file), source.tls
        self.ledger = LedgerClient(self._at(source.ledger))
        self._replicas = Resolved(replicas, lambda address: PolicyClient(self._at(address, tries=1)))
        self._open: list[Log | LogOwnerClient | KafkaOwner] = []

    def acts(self, policy: str) -> Acts:
        """Topic and replicas of a policy; a log of its own each, since a producer has one transactional id."""
        source = self._source
        log: Log
        owner: KafkaOwner | LogOwnerClient
        if source.log == "kafka":
            log = kafka_log(source.kafka.model_dump(), "rejoinder-operator", only=("arms",))
            owner = KafkaOwner(log, policy)
        else:
            owner = LogOwnerClient(self._at(source.owner))
            log = FollowerLog(str(source.log_file), owner)
        self._open += [owner, log]

        def told(replica: str, version: str, reason: str) -> None:
            self._chassis.log.warning("replica_not_ready", replica=replica, version=version, reason=reason)

        return Acts(policy, self._artefacts, ArmsTopic(log, owner, policy), Replicas(self._replicas, policy, told))

    def close(self) -> None:
        for each in (*self._open, self._replicas, self.ledger):
            each.close()

    def _at(self, address: str, tries: int = 2) -> Connection:
        return Connection(address, self._tls, self._token, deadline_s=_PATIENCE_S, tries=tries)


async def _lead(runner: Runner, ending: asyncio.Event) -> None:
    """The runner in its thread, until the process ends or leadership is lost."""
    stop = threading.Event()
    working = asyncio.create_task(asyncio.to_thread(runner.run, stop))
    told = asyncio.create_task(ending.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    stop.set()
    await working


if __name__ == "__main__":
    sys.exit(run("operator", OperatorSettings, build))

"""The rollout engine: `python -m rejoinder.rollouts [--settings FILE]`."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from functools import partial

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.ledger import LedgerClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.clients.policy import PolicyClient
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.store import open_store
from rejoinder.rollouts.engine import Engine, Ports, Rules
from rejoinder.rollouts.kafkaowner import KafkaOwner
from rejoinder.rollouts.memory import Memory
from rejoinder.rollouts.replicas import Replicas
from rejoinder.rollouts.service import RolloutService, follow
from rejoinder.rollouts.settings import RolloutsSettings, SourceTheme
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import Log
from rejoinder.v1.rollouts_pb2_grpc import add_RolloutServiceServicer_to_server

#: A look must not wait longer for anybody than a lease can spare.
_PATIENCE_S = 5.0


def open_log(
    source: SourceTheme, policy: str, at: Callable[[str], Connection]
) -> tuple[Log, LogOwnerClient | KafkaOwner]:
    """The log to read, and who writes it for us."""
    if source.log == "kafka":
        log = kafka_log(source.kafka.model_dump(), "rejoinder-rollouts", only=("arms",))
        return log, KafkaOwner(log, policy)
    owner = LogOwnerClient(at(source.owner))
    return FollowerLog(str(source.log_file), owner), owner


async def build(settings: RolloutsSettings, chassis: Chassis) -> Room:
    settings.check()
    policy, source, engine = settings.policy, settings.source, settings.engine
    token = token_in(source.token_file)

    def at(address: str, tries: int = 2) -> Connection:
        return Connection(address, source.tls, token, deadline_s=_PATIENCE_S, tries=tries)

    ledger = LedgerClient(at(source.ledger))
    replicas = {address: PolicyClient(at(address, tries=1)) for address in policy.replicas}
    log, owner = await asyncio.to_thread(open_log, source, policy.name, at)
    store = await asyncio.to_thread(open_store, policy.registry)
    memory = await asyncio.to_thread(Memory, engine.memory)

    def told(replica: str, version: str, reason: str) -> None:
        chassis.log.warning("replica_not_ready", replica=replica, version=version, reason=reason)

    ports = Ports(
        Artefacts(store, engine.memory.parent / "artefacts"),
        ArmsTopic(log, owner, policy.name),
        ledger,
        Replicas(replicas, policy.name, told),
        memory,
    )
    rules = Rules(policy.name, settings.whole_plan, engine.judges, engine.behind_s, policy.holdout_share, engine.poll_s)
    working = Engine(rules, ports, chassis.clock, chassis.log, random.SystemRandom())

    async def close() -> None:
        for each in (owner, log, ledger, memory, *replicas.values()):
            await asyncio.to_thread(each.close)

    return Room(
        add=(partial(add_RolloutServiceServicer_to_server, RolloutService(working, policy.name)),),
        background=(partial(follow, working, engine.poll_s, chassis.metrics, chassis.log),),
        close=close,
    )


if __name__ == "__main__":
    sys.exit(run("rollouts", RolloutsSettings, build))

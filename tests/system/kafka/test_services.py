"""Our processes over Kafka: two that ingest, one that keeps the ledger; and the arms topic's one writer."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.clients import Connection, FeedbackClient, LedgerClient
from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.errors import Fenced
from rejoinder.core.types import Interaction, Message, Role
from rejoinder.rollouts.kafkaowner import KafkaOwner
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.stream.kafka.settings import KafkaSettings

from tests.brokers import shared
from tests.chaos.harness import Process, wait_until
from tests.system.kafka.world import opened, settings
from tests.system.logs import everything

pytestmark = pytest.mark.system

TABLE = ArmsTable("assist", 1, 1, 1_700_000_000.0, stable=Version("assist-r0001", "sha256:1"))


@pytest.fixture
def of() -> KafkaSettings:
    return settings(shared())


def kafka(of: KafkaSettings, theme: str) -> dict[str, str]:
    given = ("bootstrap", "prefix", "partitions", "replication", "min_insync", "linger_s")
    return {f"{theme}__KAFKA__{name.upper()}": str(getattr(of, name)) for name in given}


@pytest.fixture
def processes(of: KafkaSettings, tmp_path: Path) -> Iterator[dict[str, Process]]:
    (tmp_path / "key").write_text(secrets.token_hex(16))
    ledger = {
        **kafka(of, "LOG"),
        "LOG__KIND": "kafka",
        "STORE__PATH": str(tmp_path / "ledger.db"),
        "ERASURE__KEY_FILE": str(tmp_path / "key"),
    }
    ingest = {**kafka(of, "LOG"), "LOG__KIND": "kafka", "PROCESSES": "2", "PRODUCTION": "true"}
    made = {}
    try:
        for name, service, environment in (
            ("one", "feedback", ingest),
            ("two", "feedback", ingest),
            ("ledger", "ledger", ledger),
        ):
            folder = tmp_path / name
            folder.mkdir()
            made[name] = Process([sys.executable, "-m", f"rejoinder.{service}"], folder, service, environment)
            made[name].start()
        yield made
    finally:
        for process in made.values():
            process.kill()


def said(i: int) -> Interaction:
    return Interaction(
        event_id=f"e{i}", interaction_id=f"i{i}", user_id="u", messages=(Message(Role.USER, "hello"),), response="hi"
    )


def test_two_ingest_processes_share_the_log_and_the_ledger_counts_each_event_once(
    of: KafkaSettings, processes: dict[str, Process]
) -> None:
    """F06, F07: both take every event; a second copy is known where its first was taken, and counted nowhere."""
    outcomes = []
    for name in ("one", "two", "two"):
        client = FeedbackClient(Connection(f"127.0.0.1:{processes[name].port}"))
        outcomes.append({result.outcome.name for result in client.record_interactions([said(i) for i in range(20)])})
        client.close()
    assert outcomes == [{"RECORDED"}, {"RECORDED"}, {"DUPLICATE"}]
    ledger = LedgerClient(Connection(f"127.0.0.1:{processes['ledger'].port}"))
    with opened(of) as log:
        assert len(everything(log, "interactions")) == 40

    def counted() -> tuple[int, int, int]:
        rows = [row for row in ledger.parity().rows if row.topic == "interactions"]
        return sum(r.read for r in rows), sum(r.stored for r in rows), sum(r.duplicate for r in rows)

    wait_until(lambda: counted() == (40, 20, 20), "the ledger's twenty")
    ledger.close()


def test_the_arms_topic_has_one_writer_and_terms_rise(of: KafkaSettings) -> None:
    """F11: a successor's term is above every one on the topic; whoever held the id before is not heard."""
    with opened(of) as log:
        owners = [KafkaOwner(log, "assist") for _ in range(3)]
        first, second, third = [ArmsTopic(log, owner, "assist") for owner in owners]
        first.take()
        first.write(replace(TABLE, term=first.term))
        second.take()
        assert (first.term, second.term) == (1, 2)
        with pytest.raises(Fenced):
            first.write(replace(TABLE, generation=9))
        second.write(replace(TABLE, term=second.term, generation=2))
        third.take()
        assert third.term == 3
        wait_until(lambda: third.read() == replace(TABLE, term=2, generation=2), "the second's table")
        assert third.read() == replace(TABLE, term=2, generation=2)
        for owner in owners:
            owner.close()

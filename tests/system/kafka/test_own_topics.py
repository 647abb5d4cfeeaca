"""A tenant that gets topics of its own while our processes run: by one setting, and back (U19)."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.clients import Connection, FeedbackClient, LedgerClient
from rejoinder.core.types import Feedback, Interaction, Message, Rating, Role
from rejoinder.ledger.stores.schema import signals
from rejoinder.ledger.stores.store import Store
from rejoinder.stream.headers import event_of
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.topics import OWNABLE, OwnTopics, of_kinds, owner_of
from sqlalchemy import select

from tests.brokers import shared
from tests.chaos.harness import Process, wait_until
from tests.system.kafka.reading import NAMES
from tests.system.kafka.test_signals import kafka, running
from tests.system.kafka.world import opened, settings
from tests.system.logs import everything

pytestmark = pytest.mark.system

TENANTS = ("acme", "other")
OWN = {"acme": OwnTopics(partitions=2, retention_s=86_400.0)}


def send(feedback: Process, *numbers: int) -> Counter[str]:
    """An answer and a rating of each tenant and number, through the service; outcomes."""
    client = FeedbackClient(Connection(f"127.0.0.1:{feedback.port}"))
    about = [
        {"tenant": tenant, "interaction_id": f"i{n}", "attempt_id": f"a{n}", "user_id": f"u{n}"}
        for tenant in TENANTS
        for n in numbers
    ]
    try:
        asked = {"messages": (Message(Role.USER, "hello"),), "response": "hi"}
        answers = [Interaction(event_id=f"e-{a['interaction_id']}", **asked, **a) for a in about]
        said = [*client.record_interactions(answers)]
        rating = Rating(number=5.0, scale_min=1.0, scale_max=5.0)
        said += client.record_feedback([Feedback(event_id=f"f-{a['interaction_id']}", kind=rating, **a) for a in about])
    finally:
        client.close()
    return Counter(result.outcome.name for result in said)


def stored_signals(store: Store) -> list[tuple[str, str]]:
    with store.reading() as connection:
        return sorted(tuple(row) for row in connection.execute(select(signals.c.tenant, signals.c.source_event_id)))


def whose(log: KafkaLog) -> dict[str, set[str]]:
    """Topic → the tenants of what lies there."""
    found = {topic: everything(log, topic) for topic in of_kinds(log.topics, OWNABLE)}
    return {topic: {event_of(record).tenant for record in records} for topic, records in found.items() if records}


def test_one_setting_moves_a_tenant_and_nothing_is_lost_doubled_or_left_behind(tmp_path: Path) -> None:
    """F06, F07, F16: ingest, ledger and signal worker are stopped, told of the tenant, and started again."""
    of = settings(shared(), partitions=1)
    (tmp_path / "key").write_text(secrets.token_hex(16))
    ledger_file = tmp_path / "ledger.db"

    def themes(moved: bool, service: str) -> dict[str, str]:
        theme = "SOURCE" if service == "signals" else "LOG"
        own = {"acme": {"partitions": 2, "retention_s": 86_400}}
        given = {**kafka(of, theme), f"{theme}__KAFKA__METADATA_S": "0.5"}
        given |= {f"{theme}__KAFKA__TENANTS": json.dumps(own)} if moved else {}
        return (
            given
            | {
                "feedback": {"LOG__KIND": "kafka"},
                "ledger": {
                    "LOG__KIND": "kafka",
                    "STORE__PATH": str(ledger_file),
                    "ERASURE__KEY_FILE": str(tmp_path / "key"),
                    "ERASURE__GRACE_S": "0",
                },
                "signals": {"SOURCE__LOG": "kafka", "READ__EXTRACTORS": json.dumps(NAMES), "SOURCE__SLOT": "0"},
            }[service]
        )

    with ExitStack() as before:
        feedback = before.enter_context(running(tmp_path / "a", "feedback", themes(False, "feedback")))
        ledger = before.enter_context(running(tmp_path / "b", "ledger", themes(False, "ledger")))
        assert send(feedback, 0, 1) == {"RECORDED": 8}
        with opened(of) as log:
            wait_until(lambda: len(everything(log, "evidence")) == 4, "what is joined")
        for process in (feedback, ledger):
            assert process.terminate() == 0
    with ExitStack() as after:
        # First who makes the topics; what it writes before anybody reads there is read later.
        feedback = after.enter_context(running(tmp_path / "c", "feedback", themes(True, "feedback")))
        # Acknowledged before, by a process that has gone: on another topic now, it counts once.
        assert send(feedback, 1) == {"RECORDED": 4}
        ledger = after.enter_context(running(tmp_path / "d", "ledger", themes(True, "ledger")))
        worker = themes(True, "signals") | {"SOURCE__LEDGER": f"127.0.0.1:{ledger.port}"}
        after.enter_context(running(tmp_path / "e", "signals", worker))
        assert send(feedback, 2) == {"RECORDED": 4}
        store = Store(ledger_file, read_only=True)
        after.callback(store.close)
        expected = sorted((tenant, f"f-i{n}") for tenant in TENANTS for n in range(3))
        wait_until(lambda: stored_signals(store) == expected, "every signal, once")
        log = after.enter_context(opened(replace(of, tenants=OWN)))
        lying = whose(log)
        assert {topic: found for topic, found in lying.items() if owner_of(topic)} == {
            f"{kind}@acme": {"acme"} for kind in ("interactions", "feedback", "signals", "evidence")
        }
        # On the shared topics: what acme had said before, and what was told of it. Its signals were made since.
        assert {topic: found for topic, found in lying.items() if not owner_of(topic)} == {
            "interactions": set(TENANTS),
            "feedback": set(TENANTS),
            "evidence": set(TENANTS),
            "signals": {"other"},
        }
        client = LedgerClient(Connection(f"127.0.0.1:{ledger.port}"))
        after.callback(client.close)

        def counted() -> tuple[int, int]:
            rows = client.parity().rows
            stored = sum(row.stored for row in rows if row.topic.startswith(("interactions", "feedback")))
            return stored, sum(row.duplicate for row in rows)

        wait_until(lambda: counted() == (12, 4), "what came twice, read and not counted")
        gone = client.erase("u1", "acme")
        wait_until(lambda: ("acme", "f-i1") not in stored_signals(store), "the user that is erased")
        assert gone.raw_copy_ends_at - gone.erased_at == pytest.approx(30 * 86_400.0 + 86_400.0 + 600.0)
        assert ("other", "f-i1") in stored_signals(store)
        assert ("acme", "f-i2") in stored_signals(store)

"""A user is forgotten on Apache Kafka and PostgreSQL: every store that the ticket lists, and every byte on disk."""

from __future__ import annotations

import errno
import json
import os
import secrets
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from rejoinder.cli.main import main
from rejoinder.clients import Connection, LedgerClient
from rejoinder.core import types
from rejoinder.core.clock import SystemClock
from rejoinder.core.ids import subject_of
from rejoinder.registry import datasets
from rejoinder.runtime.spool import Spool, SpoolSettings
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.headers import record_of
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.topics import TOPICS, full_name

from tests import brokers
from tests.chaos.harness import Process, wait_until
from tests.postgresql import Server
from tests.system.kafka.test_services import kafka
from tests.system.kafka.world import admin_of, opened, settings
from tests.system.logs import everything

#: Twenty seconds where nobody else runs, three times as many where others do.
pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

ANN, PHRASE = f"ann-{uuid.uuid4().hex}", f"my cat is called {uuid.uuid4().hex}"


def a_life(key: bytes, now: float) -> list[Any]:
    """What Ann left: an answer, words about it, words that wait for an answer, two bodies of one id, words that name
    nobody, a signal and a dead letter; beside what Bob did, and a round that used both."""

    def answer(user: str, name: str) -> types.Interaction:
        served = types.Served("assist", "assist-r0001")
        asked = (types.Message(types.Role.USER, f"{PHRASE}, and yours?" if user == ANN else "hello"),)
        return types.Interaction(
            **common(f"e-{name}", user), interaction_id=name, conversation_id=f"c-{name}", messages=asked,
            response="Tom", served=served, status=types.AttemptStatus.COMPLETED,
        )  # fmt: skip

    def common(event: str, user: str) -> dict[str, Any]:
        return {"event_id": event, "tenant": "t", "user_id": user, "occurred_at": now, "accepted_at": now}

    def said(event: str, about: str, user: str = ANN, kind: Any = None) -> types.Feedback:
        return types.Feedback(**common(event, user), interaction_id=about, kind=kind or types.Comment(PHRASE))

    edit = said("edit", "x", kind=types.Edit(PHRASE))
    signal = types.Signal(
        **common("s", ANN), source_event_id="edit", interaction_id="x", polarity=types.Polarity.DSAT, extractor="x"
    )
    return [
        answer(ANN, "x"),
        edit,
        said("parked", "unknown"),
        said("edit", "x", kind=types.Edit(f"{PHRASE}!")),
        said("nameless", "x", user=""),
        signal,
        answer("bob", "y"),
        said("bobs", "y", user="bob", kind=types.Edit("no")),
        types.RoundEvent(
            event_id="r", policy="assist", number=1, stage="publish", version="assist-r0001", occurred_at=now,
            accepted_at=now,
        ),
    ]  # fmt: skip


def a_pair(user: str) -> types.Preference:
    said = (
        types.Candidate(PHRASE if user == ANN else "yes", 1.0, "regenerated"),
        types.Candidate("Tom", 0.0, "served"),
    )
    made_of = types.Provenance("wildfeedback", "1", ("e-x", "edit"), ("x",))
    prompt = (types.Message(types.Role.USER, "hello"),)
    return types.Preference(f"wildfeedback:{user}", prompt, said, tenant="t", user_id=user, provenance=made_of)


class Away(Exception):
    pass


def an_orphaned_spool(folder: Path, left: types.Interaction) -> None:
    """Of a replica that is gone for good."""

    def send(events: Any) -> None:
        raise Away

    spool = Spool(folder, SpoolSettings(), send, lambda dropped: None)
    assert spool.put(left).result(10)
    spool.close()


@contextmanager
def quick_to_forget(server: Server) -> Iterator[None]:
    """As NOTES.md tells an operator to set the server: its log's old segments are removed, not kept for reuse."""
    with server.connect("postgres") as session:
        try:
            session.execute("ALTER SYSTEM SET wal_recycle = off")
            session.execute("SELECT pg_reload_conf()")
            yield
        finally:
            session.execute("ALTER SYSTEM RESET wal_recycle")
            session.execute("SELECT pg_reload_conf()")


def written_to_disk(server: Server, *, switched: bool = True) -> None:
    """What is in memory, and of the server's log only what is needed. switched: not even its present segment."""
    with server.connect("postgres") as session:
        if switched:
            session.execute("SELECT pg_switch_wal()")
        session.execute("CHECKPOINT")


def holding(*folders: Path) -> list[str]:
    """Every file in which her name or her words stand."""
    found = []
    for folder in folders:
        for path in (path for path in folder.rglob("*") if path.is_file()):
            try:
                content = written(path)
            except FileNotFoundError:  # a segment that the broker has just deleted
                continue
            found += [str(path)] if ANN.encode() in content or PHRASE.encode() in content else []
    return found


def written(path: Path) -> bytes:
    """A file without its holes: brokers' indices are ten megabytes of them each."""
    with path.open("rb", buffering=0) as file:
        parts, at, end = [], 0, os.fstat(file.fileno()).st_size
        while at < end:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # no more than a hole is left
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            parts.append(os.pread(file.fileno(), at - start, start))
    return b"".join(parts)


def told(ledger: LedgerClient, ticket: str) -> Mapping[str, str]:
    return {node.id: node.state for node in ledger.trace(ticket, "t") if node.kind == "store"}


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    said = capsys.readouterr()
    assert said.out, said.err
    return ended.value.code, json.loads(said.out)


def test_a_user_who_was_erased_is_in_no_byte_of_brokers_database_and_folders(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F16, U11, U17: log, dead letters, parked, ledger, windows, pairs, spools, snapshots; nothing comes back."""
    of, where = settings(brokers.shared()), postgres.database()
    files = brokers.files()
    assert files is not None, "given brokers' disks cannot be looked at"
    assert postgres.folder is not None, "a given server's disk cannot be looked at"
    key, now = secrets.token_hex(16), SystemClock().now()
    (tmp_path / "key").write_text(key)
    environment = {
        **kafka(of, "LOG"),
        "LOG__KIND": "kafka",
        "STORE__URL": where.url,
        "STORE__PASSWORD_FILE": str(where.password_file),
        "STORE__PAIR_SETS": str(tmp_path / "rounds"),
        "STORE__SPOOLS": str(tmp_path / "spool"),
        "STORE__SNAPSHOTS": str(tmp_path / "snapshots"),
        "ERASURE__KEY_FILE": str(tmp_path / "key"),
        "LOOKS__FILE": str(tmp_path / "looks.jsonl"),
        "ERASURE__GRACE_S": "0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"REJOINDER_LEDGER__{name}", value)
    stores = (tmp_path, files, postgres.folder)
    life = a_life(bytes.fromhex(key), now)
    datasets.write(tmp_path / "rounds/assist/1/pairs", "pairs", [a_pair(ANN), a_pair("bob")], b"salt", {}, {}, now)
    an_orphaned_spool(tmp_path / "spool" / "policy-9", replace(life[0], event_id="e-spooled"))
    process = Process([sys.executable, "-m", "rejoinder.ledger"], tmp_path, "ledger", environment)
    with opened(of) as log, quick_to_forget(postgres):
        log.append([replace(record_of(event, "tests"), identity=None) for event in life]).result(30)
        letters = DeadLetters(bytes.fromhex(key), SystemClock(), "tests")
        hers = [record for record in everything(log) if PHRASE.encode() in record.value]
        log.append([letters.record(source, "UNREADABLE") for source in hers]).result(30)
        process.start()
        try:
            ledger = LedgerClient(Connection(f"127.0.0.1:{process.port}", deadline_s=60.0, tries=20))
            window = ledger.window("assist", 1, "", ledger.cut(), "", 0.0)
            assert {piece.feedback.event_id for piece in window.evidence} >= {"edit"}
            wait_until(lambda: any((tmp_path / "snapshots").glob("*.gz")), "the round's snapshot")
            written_to_disk(postgres, switched=False)
            before = holding(*stores)
            for part in ("interactions", "feedback", "signals", "deadletters", "base/", "pg_wal", "rounds", "spool"):
                assert any(part in path for path in before), f"the control: she is in {part}"

            ticket = call(capsys, "erase", ANN, "--tenant", "t", "--address", f"127.0.0.1:{process.port}")[1]["ticket"]
            rest = ("ledger", "parked", "dead_letters", "windows", "ledger_files", "pair_sets", "spools", "snapshots")
            wait_until(lambda: told(ledger, ticket) == dict.fromkeys(rest, "done") | WAITING, "all but the log")
            used = {node.id for node in ledger.trace(ticket, "t") if node.kind == "version"}
            assert used == {"assist-r0001"}
            status, found = call(capsys, "erase", ANN, "--verify", "--tenant", "t")
            left = {row["store"]: row["found"] for row in found["stores"]}
            assert (status, left) == (0, {"ledger": 0, "log": 8, "pair_sets": 0, "spools": 0, "snapshots": 0})
            written_to_disk(postgres)
            assert all(str(files) in path for path in holding(*stores)), "only the raw copy is left"
            assert call(capsys, "replay")[1]["equal"]

            after_retention(of, files)
            monkeypatch.setenv("REJOINDER_LEDGER__LOG__KAFKA__RETENTION_S", "1")
            second = ledger.window("assist", 2, "", ledger.cut(), "", 0.0)
            assert second.evidence == ()
            assert told(ledger, ticket)["log"] == "done"
            for path in (tmp_path / "snapshots").glob("*.gz"):
                assert call(capsys, "replay", "--from-snapshot", str(path))[1]["equal"]
            assert call(capsys, "erase", ANN, "--verify", "--tenant", "t")[1]["clean"]
            assert subject_of(bytes.fromhex(key), "t", ANN).encode() in b"".join(
                path.read_bytes() for path in files.rglob(f"{of.prefix}.erasures*/*.log")
            ), "the request stays, and names nobody"
            written_to_disk(postgres)
            assert holding(*stores) == []
            ledger.close()
        finally:
            process.close()
    postgres.give_back(where)


#: What nobody here can end sooner than the time that was set for it.
WAITING = {"log": "pending", "backups": "pending"}


def after_retention(of: KafkaSettings, files: Path) -> None:
    """As if the topics' time had passed: the brokers end what is older than a second. Segments that a transaction or a
    reader has just used go as well, some moments later."""
    names = [full_name(of.prefix, name) for name, topic in TOPICS.items() if not topic.compacted]
    short = {"retention.ms": "1000"}
    with admin_of(of.bootstrap) as admin:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs=short) for name in names], incremental=True
        )
    wait_until(lambda: not holding(files), "the end of the raw copy")

"""Signal workers that share the work on Kafka: as many as one likes, and the same signals; nothing dropped, nothing
doubled."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from rejoinder.cli.main import main
from rejoinder.clients import Connection, LedgerClient
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Signal
from rejoinder.ledger.stores.store import Store
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Evidence, Ports
from rejoinder.signals.worker import Extractor
from rejoinder.stream.deadletters import letters
from rejoinder.stream.kafka.settings import KafkaSettings

from tests.brokers import shared
from tests.chaos.harness import Process, wait_until
from tests.system.kafka.reading import (
    NAMES,
    Arriving,
    Keeping,
    Slot,
    acknowledged,
    arrive,
    extractors,
    joined_count,
    shares,
    stored,
    told,
)
from tests.system.kafka.test_services import kafka
from tests.system.kafka.test_topics import set_to
from tests.system.kafka.world import UNHURRIED, admin_of, opened, settings
from tests.system.logs import everything

#: One of them waits for groups to form five times.
pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def of() -> KafkaSettings:
    return settings(shared(), **UNHURRIED)


@contextmanager
def running(folder: Path, service: str, environment: dict[str, str]) -> Iterator[Process]:
    folder.mkdir()
    process = Process([sys.executable, "-m", f"rejoinder.{service}"], folder, service, environment)
    try:
        process.start()
        yield process
    finally:
        process.close()


def test_one_three_and_one_workers_make_the_signals_of_one_while_partitions_are_added(
    of: KafkaSettings, tmp_path: Path
) -> None:
    """F07, U02: evidence keeps arriving meanwhile. Neither the number of workers nor that of partitions is seen in what
    the ledger has, and on the log every signal lies once."""
    (tmp_path / "key").write_text(secrets.token_hex(16))
    keeping = {
        **kafka(of, "LOG"),
        "LOG__KIND": "kafka",
        "LOG__KAFKA__METADATA_S": "0.5",
        "STORE__PATH": str(tmp_path / "ledger.db"),
        "ERASURE__KEY_FILE": str(tmp_path / "key"),
    }
    with ExitStack() as stack:
        log = stack.enter_context(opened(of))
        admin = stack.enter_context(admin_of(of.bootstrap))
        ledger = stack.enter_context(running(tmp_path / "ledger", "ledger", keeping))

        reading = {
            **kafka(of, "SOURCE"),
            "SOURCE__LOG": "kafka",
            "SOURCE__KAFKA__METADATA_S": "0.5",
            "SOURCE__LEDGER": f"127.0.0.1:{ledger.port}",
            "READ__EXTRACTORS": json.dumps(NAMES),
            "SOURCE__SLOT": "0",
        }
        first = stack.enter_context(running(tmp_path / "first", "signals", reading))
        arriving = Arriving(log)
        stack.callback(arriving.stop)
        store = Store(tmp_path / "ledger.db", read_only=True)
        stack.callback(store.close)
        wait_until(lambda: len(stored(store)) > 20, "the first worker's signals")
        client = LedgerClient(Connection(f"127.0.0.1:{ledger.port}"))
        stack.callback(client.close)
        others = [stack.enter_context(Slot(of, client, slot)) for slot in ("1", "2")]
        wait_until(lambda: shares(admin, of) == [1, 1, 1], "three workers at work")
        more = len(stored(store)) + 40
        wait_until(lambda: len(stored(store)) > more, "the signals of three")
        log.grow("evidence", 6)
        log.grow("feedback", 5)
        wait_until(lambda: shares(admin, of) == [2, 2, 2], "the added partitions")
        more = len(stored(store)) + 40
        wait_until(lambda: len(stored(store)) > more, "signals from the added partitions")
        for other in others:
            other.stop()
            assert other.error is None
            assert other.worker.counts.read
        wait_until(lambda: shares(admin, of) == [6], "one worker again")
        more = len(stored(store)) + 40
        wait_until(lambda: len(stored(store)) > more, "the signals of the one that is left")
        arriving.stop()
        wait_until(lambda: len(stored(store)) == arriving.count, "every piece read")
        assert stored(store) == told(client.evidence)
        counted = [row for row in client.parity().rows if row.topic == "signals"]
        assert sum(row.stored for row in counted) == sum(row.read for row in counted) == arriving.count
        assert len(everything(log, "signals")) == arriving.count
        assert len({record.partition for record in everything(log, "evidence")}) == 6
        # A verdict waits for replies to be read: the ledger hears from the brokers how far the group has come.
        wait_until(lambda: acknowledged(store) >= joined_count(store), "the group's place")
        assert first.terminate() == 0


@pytest.fixture
def keeping(of: KafkaSettings, tmp_path: Path) -> Iterator[Keeping]:
    made = Keeping(of, tmp_path)
    yield made
    made.close()


class Broken:
    """Extractors of which the first cannot use some evidence, until it is mended."""

    def __init__(self, bad: set[str]) -> None:
        self.bad = bad
        self.rows = [self._breaking(NAMES[0]), *extractors()[1:]]

    def _breaking(self, name: str) -> Extractor:
        row, params = EXTRACTORS[name], EXTRACTORS[name].with_params()

        class Breaking(Extractor):
            def read(this, evidence: list[Evidence]) -> list[Signal]:
                if any(piece.feedback.event_id in self.bad for piece in evidence):
                    raise ValueError("no, in Celsius please")
                return list(super().read(evidence))

        return Breaking(row, params, Ports())


def test_evidence_that_cannot_be_used_is_set_aside_with_its_reason_and_put_back_by_a_command(
    of: KafkaSettings, keeping: Keeping, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Broken({"f4", "f7"})
    arrive(keeping.log, range(20))
    slot = Slot(of, keeping.direct, "0", broken.rows).start()
    try:
        wait_until(lambda: len(stored(keeping.store)) == 18, "the others' signals")
        wait_until(lambda: len(list(letters(keeping.log))) == 2, "the dead letters")
        file = settings_file(of, tmp_path)
        lines = listed(file, capsys)
        assert [line["reason"] for line in lines] == ["INTERNAL", "INTERNAL"]
        assert not any("Celsius" in str(line) for line in lines)
        # Put back while it is still broken, it is the same dead letter again and not two.
        assert replayed(file, capsys, "--reason", "INTERNAL") == 2
        wait_until(lambda: len(everything(keeping.log, "deadletters")) == 4, "their second failure")
        assert len(listed(file, capsys)) == 2
        broken.bad.clear()
        assert replayed(file, capsys, "--at", lines[0]["at"]) == 1
        wait_until(lambda: len(stored(keeping.store)) == 19, "the first that was put back")
        assert replayed(file, capsys, "--reason", "INTERNAL") == 2
        wait_until(lambda: stored(keeping.store) == told(keeping.ledger.evidence), "the second")
        assert not slot.ended
    finally:
        slot.stop()
    signals = [row for row in keeping.ledger.parity() if row.topic == "signals"]
    assert sum(row.stored for row in signals) == 20
    # From the first look on, when the brokers knew nothing of the group.
    assert keeping.errors == []


def settings_file(of: KafkaSettings, folder: Path) -> Path:
    """Settings of the ledger process, as the command takes them."""
    (folder / "key").write_text(secrets.token_hex(16))
    names = ("bootstrap", "prefix", "partitions", "replication", "min_insync")
    theme = "".join(f"    {name}: {getattr(of, name)}\n" for name in names)
    file = folder / "ledger.yaml"
    file.write_text(f"log:\n  kind: kafka\n  kafka:\n{theme}erasure:\n  key_file: {folder / 'key'}\n")
    return file


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["deadletters", *arguments, "--json"])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return json.loads(said.out)


def listed(file: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return called(capsys, "list", "--settings", str(file))  # type: ignore[return-value]


def replayed(file: Path, capsys: pytest.CaptureFixture[str], *which: str) -> int:
    done = called(capsys, "replay", "--settings", str(file), *which)
    return done["put_back"]  # type: ignore[index]


def test_a_worker_that_cannot_write_dead_letters_stops_and_drops_nothing(of: KafkaSettings, keeping: Keeping) -> None:
    """F06: the brokers take no dead letter; the worker stops where it stands, and goes on once they do."""
    topic = f"{of.prefix}.deadletters.v1"
    broken = Broken({"f4"})
    arrive(keeping.log, range(20))
    slot = Slot(of, keeping.direct, "0", broken.rows, attempts=2)
    with admin_of(of.bootstrap) as admin:
        # Room for a commit marker, not for a dead letter.
        set_to(admin, topic, max_message_bytes="200")
        try:
            slot.start()
            wait_until(lambda: slot.ended, "its end")
        finally:
            slot.stop()
        assert isinstance(slot.error, LogUnavailable)
        assert everything(keeping.log, "deadletters") == []
        set_to(admin, topic, max_message_bytes=str(16 << 20))
    heir = Slot(of, keeping.direct, "0", broken.rows).start()
    try:
        wait_until(lambda: len(stored(keeping.store)) == 19, "the signals of its heir")
        wait_until(lambda: len(list(letters(keeping.log))) == 1, "the dead letter")
    finally:
        heir.stop()
    assert len(everything(keeping.log, "signals")) == 19

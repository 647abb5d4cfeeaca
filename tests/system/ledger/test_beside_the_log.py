"""The ledger process beside the process that owns the log: what one acknowledges the other holds, exactly once, through
kills, erasure and a rebuild (F06, F16, U01, U02, U07, U11, U17)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.clients import Connection, FeedbackClient
from rejoinder.clients.ledger import LedgerClient, Parity
from rejoinder.core import types
from rejoinder.core.errors import NotFound

from tests.chaos.harness import Process, wait_until
from tests.postgresql import Server

pytestmark = pytest.mark.system


@dataclass
class Pair:
    """The two processes on one folder."""

    folder: Path
    feedback: Process
    ledger: Process
    settings: dict[str, str]

    def parity(self) -> Parity:
        with LedgerClient(Connection(f"127.0.0.1:{self.ledger.port}")) as client:
            return client.parity()

    def caught_up(self, read: int) -> bool:
        return sum(row.read for row in self.parity().rows) >= read


@pytest.fixture(params=("sqlite", "postgres"))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings that say where the ledger lies."""
    if request.param == "sqlite":
        yield {"STORE__PATH": str(tmp_path / "ledger.db")}
        return
    server: Server = request.getfixturevalue("postgres")
    where = server.database()
    yield {"STORE__URL": where.url, "STORE__PASSWORD_FILE": str(where.password_file)}
    server.give_back(where)


@pytest.fixture
def pair(tmp_path: Path, store: dict[str, str]) -> Iterator[Pair]:
    (tmp_path / "key").write_text("a key of the deployment")
    feedback = Process(
        [sys.executable, "-m", "rejoinder.feedback"], tmp_path, "feedback", {"LOG__PATH": str(tmp_path / "log.db")}
    )
    feedback.start()
    settings = {
        "LOG__PATH": str(tmp_path / "log.db"),
        "LOG__OWNER": f"127.0.0.1:{feedback.port}",
        **store,
        "ERASURE__KEY_FILE": str(tmp_path / "key"),
        "LOOKS__FILE": str(tmp_path / "looks.jsonl"),
    }
    ledger = Process([sys.executable, "-m", "rejoinder.ledger"], tmp_path, "ledger", settings)
    ledger.start()
    yield Pair(tmp_path, feedback, ledger, settings)
    ledger.close()
    feedback.close()


def send(pair: Pair, start: int, count: int) -> None:
    with FeedbackClient(Connection(f"127.0.0.1:{pair.feedback.port}")) as client:
        answers = client.record_interactions(
            [
                types.Interaction(
                    event_id=f"i{n}",
                    interaction_id=f"x{n}",
                    user_id=f"u{n % 3}",
                    messages=(types.Message(types.Role.USER, f"question {n}"),),
                    response=f"answer {n}",
                    status=types.AttemptStatus.COMPLETED,
                )
                for n in range(start, start + count)
            ]
        )
        said = client.record_feedback(
            [
                types.Feedback(event_id=f"f{n}", interaction_id=f"x{n}", user_id=f"u{n % 3}", kind=types.Comment("hm"))
                for n in range(start, start + count)
            ]
        )
    assert all(result.recorded for result in (*answers, *said)), {result.reason for result in (*answers, *said)}


def test_what_is_acknowledged_is_held_once_through_a_kill_an_erasure_and_a_rebuild(pair: Pair) -> None:
    send(pair, 0, 30)
    wait_until(lambda: pair.caught_up(60), "the first events")
    pair.ledger.kill()
    send(pair, 30, 30)
    pair.ledger.start()
    wait_until(lambda: pair.caught_up(120), "the events of the time it was dead")
    assert sum(row.stored for row in pair.parity().rows) == 120
    with LedgerClient(Connection(f"127.0.0.1:{pair.ledger.port}")) as client:
        assert {node.kind for node in client.trace("x1")} >= {"interaction", "feedback"}
        ticket = client.erase("u1").ticket
        wait_until(lambda: sum(row.erased for row in pair.parity().rows) == 40, "the erasure")
        with pytest.raises(NotFound):
            client.trace("x1")
        states = {node.id: node.state for node in client.trace(ticket) if node.kind == "store"}
        assert states["ledger"] == "done"
        satisfaction = client.satisfaction(group_by="version")
        assert satisfaction.rows[0].interactions == 40
        assert satisfaction.join_rate == 1.0
    digest = pair.parity().digest
    rebuilt = subprocess.run(
        [sys.executable, "-m", "rejoinder.ledger", "replay", "--into", str(pair.folder / "new.db")],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env={**os.environ, **{f"REJOINDER_LEDGER__{name}": value for name, value in pair.settings.items()}},
    )
    assert rebuilt.stdout.strip() == digest
    if "STORE__PASSWORD_FILE" in pair.settings:
        assert Path(pair.settings["STORE__PASSWORD_FILE"]).read_text().strip() not in pair.ledger.log_path.read_text()

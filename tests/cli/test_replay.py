"""cli/replay and cli/ledger: one command rebuilds and compares, one brings tables up, both on either store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.datafolder import DataFolder
from rejoinder.cli.main import main
from rejoinder.core import types
from rejoinder.ledger.stores.dialect import Postgres
from rejoinder.ledger.stores.migrate import migrate
from rejoinder.ledger.stores.schema import interactions
from rejoinder.ledger.stores.store import Store
from sqlalchemy import update

from tests.postgresql import Server


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit status, the JSON it printed, and what it said on stderr."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    said = capsys.readouterr()
    return ended.value.code, json.loads(said.out or "null"), said.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    asked = (types.Message(types.Role.USER, "warm?"),)
    with DataFolder(folder, create=True) as opened:
        answers = [types.Interaction(event_id=f"e{n}", interaction_id=f"x{n}", messages=asked) for n in range(9)]
        opened.record("interactions", answers)
        opened.record(
            "feedback",
            [types.Feedback(event_id=f"f{n}", interaction_id=f"x{n}", kind=types.Rating(number=1)) for n in range(9)],
        )
        opened.project()
    return folder


def test_a_ledger_is_rebuilt_in_a_file_or_a_database_and_is_the_same(
    data: Path, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    status, first, _ = call(capsys, "replay", "--data", str(data))
    assert (status, first["equal"], first["records"], first["cut"]) == (0, True, 18, False)
    kept = data / "rebuilt.db"
    assert call(capsys, "replay", "--data", str(data), "--into", str(kept))[1]["rebuilt"] == first["ledger"]
    status, _, said = call(capsys, "replay", "--data", str(data), "--into", str(kept))
    assert (status, json.loads(said)["error"]["reason"]) == (2, "BAD_FILE")
    empty = postgres.database("template0")
    there = ["--into", empty.url, "--password-file", str(empty.password_file)]
    assert call(capsys, "replay", "--data", str(data), *there)[1]["rebuilt"] == first["ledger"]
    assert call(capsys, "replay", "--data", str(data), *there)[0] == 2
    postgres.forget(empty)


def test_a_ledger_that_is_not_what_the_log_says_ends_with_status_2(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(data / "ledger.db")
    with store.writing() as connection:
        connection.execute(update(interactions).values(parent="x7"))
    store.close()
    status, found, said = call(capsys, "replay", "--data", str(data))
    assert (status, found["equal"]) == (2, False)
    assert json.loads(said)["error"]["reason"] == "DATA_LOSS"


def test_a_running_ledger_in_a_database_is_compared_beside_its_owner(
    data: Path, postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = postgres.database()
    settings = tmp_path / "ledger.yaml"
    settings.write_text(
        json.dumps(
            {
                "log": {"path": str(data / "log.db"), "owner": "127.0.0.1:1"},
                "store": {"url": where.url, "password_file": str(where.password_file)},
                "erasure": {"key_file": str(data / "key")},
            }
        )
    )
    from rejoinder.core.clock import SystemClock
    from rejoinder.ledger.__main__ import open_log
    from rejoinder.ledger.book import Ledger
    from rejoinder.ledger.settings import LedgerProcess
    from rejoinder.runtime.settings import load

    process = load(LedgerProcess, "ledger", settings)
    assert process.where() == where
    log = open_log(process)
    with Ledger(where, process.ledger(), SystemClock()) as running:
        running.project(log)
        status, found, said = call(capsys, "replay", "--settings", str(settings))
        assert (status, found) == (0, found | {"equal": True, "ledger": running.digest()}), said
    log.close()
    status, done, _ = call(capsys, "ledger", "migrate", "--settings", str(settings))
    assert (status, done["steps"]) == (0, [])
    postgres.give_back(where)


def test_tables_are_brought_up_by_one_command(
    tmp_path: Path, postgres: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "ledger.db"
    migrate(old, "0001")
    status, _, said = call(capsys, "replay", "--data", str(tmp_path))
    assert (status, json.loads(said)["error"]["reason"]) == (2, "NOT_FOUND")
    status, done, _ = call(capsys, "ledger", "migrate", "--data", str(tmp_path))
    assert (status, done["before"], done["after"], done["steps"]) == (0, 1, 3, ["0002", "0003"])
    empty: Postgres = postgres.database("template0")
    monkeypatch.setenv("REJOINDER_LEDGER__STORE__URL", empty.url)
    monkeypatch.setenv("REJOINDER_LEDGER__STORE__PASSWORD_FILE", str(empty.password_file))
    status, done, _ = call(capsys, "ledger", "migrate")
    assert (status, done["before"], done["after"]) == (0, 0, 3)
    # A folder that is named on the command line is meant, whatever stands in the environment.
    status, done, _ = call(capsys, "ledger", "migrate", "--data", str(tmp_path))
    assert (status, done["ledger"]) == (0, str(old))
    postgres.forget(empty)
    status, _, said = call(capsys, "ledger", "migrate")
    assert (status, json.loads(said)["error"]["reason"]) == (2, "STORE_UNAVAILABLE")
    assert "does not exist" in json.loads(said)["error"]["message"]

"""cli/erase: a user of a data folder is forgotten in every byte of it, and looked for afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.datafolder import DataFolder
from rejoinder.cli.main import main
from rejoinder.core import types
from rejoinder.core.clock import SystemClock
from rejoinder.registry import datasets
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

ANN, PHRASE = "ann-of-green-gables", "my pony is called Butterscotch the Third"


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    said = capsys.readouterr()
    return ended.value.code, json.loads(said.out or said.err)


def holding(folder: Path) -> set[str]:
    """The names of the files in which her name or her words stand."""
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path.name for path, content in found.items() if ANN.encode() in content or PHRASE.encode() in content}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What Ann and Bob left, a round's window with its snapshot, and its pairs."""
    folder = tmp_path / "data"
    people = (ANN, "bob")
    with DataFolder(folder, create=True) as opened:
        asked = {ANN: (types.Message(types.Role.USER, PHRASE),), "bob": (types.Message(types.Role.USER, "hello"),)}
        answers = [
            types.Interaction(event_id=f"e{n}", interaction_id=f"x{n}", user_id=user, messages=asked[user])
            for n, user in enumerate(people)
        ]
        said = [
            types.Feedback(
                event_id=f"f{n}", interaction_id=f"x{n}", user_id=user, kind=types.Edit(PHRASE if user == ANN else "no")
            )
            for n, user in enumerate(people)
        ]
        opened.record("interactions", answers)
        opened.record("feedback", said)
        opened.project()
        opened.ledger.window("assist", 1, "", opened.ledger.cut())
        opened.project()
    pairs = [
        types.Preference(f"p-{u}", asked[u], (types.Candidate("a"), types.Candidate("b")), tenant="default", user_id=u)
        for u in people
    ]
    datasets.write(folder / "rounds/assist/1/pairs", "pairs", pairs, b"salt", {}, {}, SystemClock().now())
    return folder


def test_who_is_erased_is_in_no_byte_of_the_folder(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """F16, U11, U17: at once in all but the log, there after its retention; the snapshot and the rest still agree."""
    before = holding(data)
    assert {"ledger.db", "log.db", "rows.jsonl"} <= before, "the control"
    assert [path.suffix for path in (data / "snapshots").iterdir()] == [".gz"]
    assert call(capsys, "erase", ANN, "--verify", "--data", str(data))[1]["error"]["reason"] == "NOT_FOUND"
    ticket = call(capsys, "erase", ANN, "--data", str(data))[1]["ticket"]
    assert holding(data) <= {"log.db", "log.db-wal"}, "only the raw copy is left"
    status, found = call(capsys, "erase", ANN, "--verify", "--data", str(data))
    left = {row["store"]: row["found"] for row in found["stores"]}
    assert (status, left) == (0, {"ledger": 0, "log": 2, "pair_sets": 0, "spools": 0, "snapshots": 0})
    assert call(capsys, "replay", "--data", str(data))[1]["equal"]
    assert holding(data) <= {"log.db", "log.db-wal"}

    log = SqliteLog(str(data / "log.db"), LogSettings(retention_s=1e-6), SystemClock())
    log.keep_house()
    log.close()
    assert holding(data) == set()
    (snapshot,) = (data / "snapshots").iterdir()
    assert call(capsys, "replay", "--data", str(data), "--from-snapshot", str(snapshot))[1]["equal"]
    assert call(capsys, "erase", ANN, "--verify", "--data", str(data))[1]["clean"]
    nodes = call(capsys, "trace", ticket, "--data", str(data))[1]["nodes"]
    stores = {node["id"] for node in nodes if node["kind"] == "store"}
    rest = {"ledger", "parked", "dead_letters", "windows", "ledger_files", "pair_sets", "spools", "snapshots"}
    assert stores == {"log", *rest}


def test_what_is_left_where_it_must_not_be_is_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "erase", ANN, "--data", str(data))
    now = SystemClock().now()
    again = types.Preference("p", (), (types.Candidate("a"), types.Candidate("b")), tenant="default", user_id=ANN)
    datasets.write(data / "rounds/assist/2/pairs", "pairs", [again], b"salt", {}, {}, now)
    status, found = call(capsys, "erase", ANN, "--verify", "--data", str(data))
    assert status == 2
    assert (found["clean"], {row["store"]: row["found"] for row in found["stores"]}["pair_sets"]) == (False, 1)

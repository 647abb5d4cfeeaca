"""cli/deadletters: what could not be used is listed without a word of anybody, and put back, on a log in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.datafolder import DataFolder
from rejoinder.cli.main import main
from rejoinder.core import types
from rejoinder.core.clock import SystemClock
from rejoinder.stream.deadletters import DeadLetters


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit status, the JSON it printed, and what it said on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(["deadletters", *arguments, "--json"])
    said = capsys.readouterr()
    return ended.value.code, json.loads(said.out or "null"), said.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with an answer, a comment on it that somebody could not use, and one that nobody could read."""
    folder = tmp_path / "data"
    with DataFolder(folder, create=True) as opened:
        opened.record("interactions", [types.Interaction(event_id="e", interaction_id="x", response="68 F")])
        said = types.Feedback(event_id="f", interaction_id="x", user_id="ann", kind=types.Comment("in Celsius please"))
        opened.record("feedback", [said])
        dead = DeadLetters(b"key", SystemClock(), "/test")
        for part in range(opened.log.partitions("feedback")):
            for record in opened.log.read("feedback", part, 0):
                opened.log.append([dead.record(record, "INTERNAL"), dead.record(record, "UNREADABLE")]).result()
    return folder


def test_dead_letters_are_listed_and_put_back_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, rows, _ = call(capsys, "list", "--data", str(data))
    assert (status, [row["reason"] for row in rows]) == (0, ["INTERNAL", "UNREADABLE"])
    assert "Celsius" not in str(rows)
    assert "ann" not in str(rows)
    assert len(call(capsys, "list", "--data", str(data), "--reason", "INTERNAL")[1]) == 1
    assert call(capsys, "list", "--data", str(data), "--tenant", "other")[1] == []
    kept = {"erased": 0, "foreign": 0, "theirs": 0}
    for expected in ({"put_back": 1, "before": 0, **kept}, {"put_back": 0, "before": 1, **kept}):
        assert call(capsys, "replay", "--data", str(data), "--reason", "INTERNAL")[1] == expected
    assert call(capsys, "replay", "--data", str(data), "--at", rows[1]["at"])[1]["put_back"] == 1
    with DataFolder(data) as opened:
        opened.project()
        counted = [row for row in opened.ledger.parity() if row.topic == "feedback"]
    # F07: the ledger knows it by its id, however often it is put back.
    assert (sum(row.stored for row in counted), sum(row.duplicate for row in counted)) == (1, 2)


def test_a_replay_of_nothing_in_particular_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = call(capsys, "replay", "--data", str(data))
    assert status == 2
    assert "--reason" in said
    assert call(capsys, "replay", "--data", str(data), "--at", "feedback")[0] == 2


def test_the_log_that_the_environment_names_is_meant(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that lies there too would answer for it: nothing, or somebody else's."""
    monkeypatch.setenv("REJOINDER_DATA", str(data))
    assert len(call(capsys, "list")[1]) == 2
    monkeypatch.setenv("REJOINDER_LEDGER__LOG__PATH", str(data / "another.db"))
    monkeypatch.setenv("REJOINDER_LEDGER__ERASURE__KEY_FILE", str(data / "key"))
    status, _, said = call(capsys, "list")
    assert (status, json.loads(said)["error"]["reason"]) == (2, "LOG_UNAVAILABLE")
    assert len(call(capsys, "list", "--data", str(data))[1]) == 2

"""cli/import_: real conversations into a data folder, twice the same is once, bad lines are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main

EXCERPT = Path(__file__).parent.parent / "data" / "hh" / "excerpt.jsonl.gz"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--json"])
    assert caught.value.code == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the excerpt in it; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    with pytest.raises(SystemExit):
        main(["import", str(EXCERPT), "--data", str(folder), "--no-signals", "--json"])
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "data")
    return tmp_path / "data"


def test_real_conversations_are_joined_and_counted(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = call(capsys, "satisfaction", "--data", str(data))
    assert report["rows"][0]["interactions"] == 936
    assert report["join_rate"] == 1.0


def test_the_same_file_twice_records_nothing_twice(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """U01, F07."""
    capsys.readouterr()
    report = call(capsys, "import", str(EXCERPT), "--data", str(data), "--no-signals")
    assert report["files"][0]["outcomes"] == {"DUPLICATE": 1632}
    assert call(capsys, "satisfaction", "--data", str(data))["rows"][0]["interactions"] == 936


def test_lines_that_cannot_be_read_are_counted_and_the_rest_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.jsonl"
    good = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    file.write_text(json.dumps(good) + "\nrubbish\n")
    report = call(capsys, "import", str(file), "--data", str(tmp_path / "d"), "--no-signals")
    assert report["files"][0]["refused_lines"] == {"no JSON object": 1}
    assert report["files"][0]["outcomes"] == {"RECORDED": 1}


def test_the_ledger_rebuilt_from_the_log_is_the_ledger(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """U17."""
    assert call(capsys, "replay", "--data", str(data))["equal"]


def test_a_plan_counts_what_a_round_would_use_and_changes_nothing(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """U12: dry run."""
    one = call(capsys, "round", "plan", "--data", str(data))
    assert one["counts"]["built.comparisons"] == sum(one["sides"].values())
    assert one["evidence"]["left_out.holdout"] > 0
    assert call(capsys, "round", "plan", "--data", str(data)) == one


def test_pairs_are_written_in_trls_format(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pairs.jsonl"
    report = call(capsys, "export", "--data", str(data), "--out", str(out))
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(rows) == report["pairs"] > 100
    assert {tuple(row) for row in rows} == {("prompt", "chosen", "rejected")}
    assert all(row["chosen"][0]["role"] == "assistant" for row in rows)


def test_an_erased_user_leaves_plan_and_pairs_and_the_ticket_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F16, U11."""
    file, data = tmp_path / "log.jsonl", tmp_path / "d"
    rows = [
        {
            "id": f"c{i}",
            "user_id": "ann" if i % 2 else "bob",
            "conversations": [
                {"from": "human", "value": f"question {i}"},
                {"from": "gpt", "value": f"answer {i}"},
                {"from": "human", "value": f"no, that is wrong {i}"},
            ],
        }
        for i in range(6)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call(capsys, "import", str(file), "--data", str(data), "--no-signals")
    ticket = call(capsys, "erase", "ann", "--data", str(data))["ticket"]
    report = call(capsys, "satisfaction", "--data", str(data))
    assert report["rows"][0]["interactions"] == 3
    nodes = call(capsys, "trace", ticket, "--data", str(data))["nodes"]
    assert nodes[0]["kind"] == "erasure"
    assert any(node["kind"] == "store" and node["state"] in ("done", "pending") for node in nodes)
    assert call(capsys, "replay", "--data", str(data))["equal"]


def test_what_may_not_train_is_counted_and_enters_no_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "d"
    call(capsys, "import", str(EXCERPT), "--data", str(data), "--no-signals", "--no-train")
    plan = call(capsys, "round", "plan", "--data", str(data))
    assert plan["evidence"]["left_out.no_train"] == 240
    assert sum(plan["sides"].values()) == 0

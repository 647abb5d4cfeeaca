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


def test_a_field_map_reads_what_no_format_fits_and_twice_the_same_is_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The observer's example, as files: the same language, the same events."""
    import rejoinder.observe
    import yaml

    examples = Path(rejoinder.observe.__file__).parent / "examples"
    topics = yaml.safe_load((examples / "settings.yaml").read_text())["topics"]
    counted = []
    for theme, name in zip(topics, ("chat", "reactions"), strict=True):
        map_file = tmp_path / f"{name}.yaml"
        map_file.write_text(yaml.safe_dump(theme["map"]))
        command = ("import", str(examples / f"{name}.jsonl"), "--map", str(map_file), "--data", str(tmp_path / "d"))
        for _ in range(2):
            (file,) = call(capsys, *command, "--no-signals")["files"]
            counted.append((file["interactions"], file["kinds"], file["outcomes"]))
    kinds = {"comment": 1, "copy": 1, "rating": 2}
    assert counted == [
        (5, {"follow_up": 4}, {"RECORDED": 9}),
        (5, {"follow_up": 4}, {"DUPLICATE": 9}),
        (0, kinds, {"RECORDED": 4}),
        (0, kinds, {"DUPLICATE": 4}),
    ]
    assert call(capsys, "satisfaction", "--data", str(tmp_path / "d"))["join_rate"] == 1.0


def test_a_field_map_and_a_format_are_not_both_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.yaml").write_text("preset: flat\n")
    given = ("--map", str(tmp_path / "map.yaml"), "--format", "sharegpt", "--data", str(tmp_path / "d"))
    with pytest.raises(SystemExit) as caught:
        main(["import", str(EXCERPT), *given])
    assert caught.value.code == 2
    assert "--format" in capsys.readouterr().err


def test_a_field_map_that_cannot_be_meant_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    map_file = tmp_path / "map.yaml"
    map_file.write_text("preset: flat\ncontents: said\n")
    with pytest.raises(SystemExit) as caught:
        main(["import", str(EXCERPT), "--map", str(map_file), "--data", str(tmp_path / "d")])
    assert caught.value.code == 2
    assert "map.yaml.contents: unknown field; nearest known: content" in capsys.readouterr().err


def test_u23_what_is_redacted_on_the_way_in_is_in_no_file_of_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [("user", "Write to anna@example.org."), ("assistant", "I wrote to anna@example.org."), ("user", "thanks")]
    line = {"messages": [{"role": role, "content": text} for role, text in said]}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    held = {}
    for kinds in ("all", "phone"):
        folder = tmp_path / kinds
        options = ("--data", str(folder), "--redact", kinds, "--no-signals")
        report = call(capsys, "import", str(tmp_path / "log.jsonl"), *options)
        assert report["files"][0]["outcomes"] == {"RECORDED": 2}
        held[kinds] = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"anna@example.org" not in held["all"]
    assert b"I wrote to <EMAIL>." in held["all"]
    assert b"anna@example.org" in held["phone"]

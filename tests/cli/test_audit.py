"""cli/audit: from imported chats to a sheet, from labels to figures and to a calibration that turns are read with."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main
from rejoinder.core.errors import NotFound
from rejoinder.registry.embedded import folder_of

REPLIES = (
    "Thanks, that is perfect!",
    "No, that is wrong. I asked for Celsius.",
    "My sister lives in Lima.",
    "Nein, das ist nicht richtig.",
)


def turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with forty chats, a fourth of each reply."""
    try:
        folder_of("signals")
    except NotFound as missing:
        pytest.skip(missing.message)
    place = tmp_path_factory.mktemp("audit")
    replies = [f"{reply} ({i})" for i in range(10) for reply in REPLIES]
    chats = [
        {"messages": [turn("user", f"How warm is it, {i}?"), turn("assistant", "68 F."), turn("user", reply)]}
        for i, reply in enumerate(replies)
    ]
    log = place / "chats.jsonl"
    log.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    assert run("import", log, "--data", place / "data") == 0
    return place / "data"


def test_an_audit_from_the_log_to_a_calibration_that_trace_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet, own = tmp_path / "audit.csv", tmp_path / "own.json"

    def told(*arguments: object) -> Any:
        capsys.readouterr()
        assert run(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    written = told("signals", "audit", "--sample", 32, "--sheet", sheet, "--data", folder)
    assert written["population"] == {"DSAT": 10, "none": 10, "SAT": 10, "unknown_language": 10}
    assert written["drawn"] == {"DSAT": 8, "none": 8, "SAT": 8, "unknown_language": 8}

    (look,) = told("looks", "--data", folder)["looks"]
    assert (look["what"], look["count"], look["by"]) == ("sheet", 32, "cli")
    # A person who thinks otherwise: whoever changes the subject complains.
    mind = {"Thanks,": "SAT", "No,": "DSAT", "My": "DSAT", "Nein,": "DSAT"}
    rows = list(csv.DictReader(sheet.read_text("utf-8-sig").splitlines(keepends=True)))
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": mind[row["followup"].split()[0]]} for row in rows)
    found = told("signals", "audit", "--sheet", sheet, "--out", own)
    assert found["unknown_language"] == 10
    assert found["precision_DSAT"]["value"] == 1.0
    assert found["recall_DSAT"]["value"] == pytest.approx(1 / 3)
    assert found["precision_none"] == pytest.approx({"value": 0.0, "low": 0.0, "high": 0.2}, abs=0.1)
    assert (found["covered"], found["helps"], found["written"]) == (1.0, True, str(own))

    monkeypatch.setenv("REJOINDER_SIGNALS__READ__CALIBRATION", str(own))
    assert told("signals", "run", "--data", folder) == {"read": 40}
    name = rows[0]["id"]
    versions = {
        node["facts"]["extractor_version"]
        for node in told("trace", name, "--data", folder)["nodes"]
        if node["kind"] == "signal"
    }
    assert written["version"] in versions
    (other,) = versions - {written["version"]}
    assert other.startswith(f"{written['version']}+")
    # What was labelled as DSAT is read as DSAT now.
    again = told("signals", "audit", "--sample", 40, "--sheet", tmp_path / "b.csv", "--data", folder)
    assert again["version"] == other
    assert again["population"]["none"] < written["population"]["none"]


@pytest.fixture(scope="module")
def unlabelled(folder: Path) -> Path:
    sheet = folder.parent / "audit.jsonl"
    assert run("signals", "audit", "--sample", 4, "--sheet", sheet, "--data", folder) == 0
    return sheet


def test_figures_of_a_part_of_the_traffic_say_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "audit.jsonl"
    assert run("signals", "audit", "--sample", 4, "--sheet", sheet, "--data", folder) == 0
    rows = [json.loads(line) for line in sheet.read_text("utf-8").splitlines()]
    sheet.write_text(
        "".join(json.dumps({**row, "label": "SAT" if "Thanks" in row["followup"] else None}) + "\n" for row in rows)
    )
    capsys.readouterr()
    assert run("signals", "audit", "--sheet", sheet, "--data", folder) == 0
    assert "of 25.0% of the traffic, to be exact" in capsys.readouterr().out


def test_all_of_time_is_no_number_of_days(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("signals", "audit", "--sample", 4, "--days", "inf", "--data", folder) == 2
    assert "--days" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sheet", "{sheet}"], "no label yet"),
        (["--sample", "4", "--sheet", "{sheet}"], "not written over"),
        (["--sample", "4", "--sheet", "x.csv", "--days", "1e-9"], "rejoinder signals run"),
        (["--sheet", "{sheet}.none"], "cannot read"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], words: str, folder: Path, unlabelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.format(sheet=unlabelled) for argument in arguments]
    assert run("signals", "audit", *given, "--data", folder) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_without_a_record_of_who_has_it_no_sheet_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, sheet = folder / "looks.jsonl", tmp_path / "audit.csv"
    kept = record.read_bytes() if record.exists() else b""
    record.unlink(missing_ok=True)
    record.mkdir()
    try:
        assert run("signals", "audit", "--sample", 4, "--sheet", sheet, "--data", folder) == 2
        assert not list(tmp_path.iterdir())
    finally:
        record.rmdir()
        record.write_bytes(kept)

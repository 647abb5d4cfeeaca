"""signals/audit/sheet: what a person gets holds no verdict, what lies beside it no word; nothing is written over."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.signals.audit.sheet import Design, Read, Turn, design_of, read, write

TURNS = [
    Turn("f1", "How warm?", "68 F", "=no, in\nCelsius; please"),
    Turn("-f2", "Größe?", 'He said "x"', "thanks, perfect"),
]
READS = {"f1": Read("DSAT", (0.7, 0.2, 0.1), 0.7), "-f2": Read("SAT", (0.0, 0.1, 0.9), 0.9)}
DESIGN = Design("minilm", "sat@1+abc", "sat@1", 3, {"DSAT": 10, "none": 50, "SAT": 100}, READS)


@pytest.fixture(params=["audit.csv", "audit.jsonl"])
def sheet(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    write(path, TURNS, DESIGN)
    return path


def fill(sheet: Path, *labels: str) -> None:
    """As a person would, with a program that knows the format."""
    if sheet.suffix == ".jsonl":
        rows = [json.loads(line) for line in sheet.read_text("utf-8").strip().split("\n")]
        lines = [json.dumps({**row, "label": label}) for row, label in zip(rows, labels, strict=True)]
        sheet.write_text("\n".join(lines))
        return
    with sheet.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows({**row, "label": label} for row, label in zip(rows, labels, strict=True))


def test_labels_come_back_by_id_and_empty_ones_are_left_out(sheet: Path) -> None:
    fill(sheet, "", " dsat")
    assert read(sheet) == (DESIGN, {"-f2": "DSAT"})


def test_the_sheet_has_no_verdict_and_the_design_no_word(sheet: Path) -> None:
    assert not any(part in sheet.read_text("utf-8") for part in ("0.7", "DSAT", "SAT", "sat@1"))
    beside = design_of(sheet).read_text("utf-8")
    assert not any(word in beside for word in ("Celsius", "warm", "perfect", "68"))
    assert [path.stat().st_mode & 0o777 for path in (sheet, design_of(sheet))] == [0o600, 0o600]


def test_a_spreadsheet_takes_no_turn_for_a_formula(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", TURNS, DESIGN)
    rows = list(csv.reader((tmp_path / "a.csv").read_text("utf-8-sig").splitlines(keepends=True)))
    assert not any(cell.startswith(("=", "-")) for row in rows for cell in row)


def test_labels_are_not_written_over(sheet: Path) -> None:
    with pytest.raises(FailedPrecondition, match="not written over"):
        write(sheet, TURNS, DESIGN)
    sheet.unlink()
    with pytest.raises(FailedPrecondition, match="not written over"):
        write(sheet, TURNS, DESIGN)


@pytest.mark.parametrize("labels", [("good", ""), ("SAT?", "")])
def test_a_label_that_is_none_is_named_by_its_row_without_a_word(sheet: Path, labels: tuple[str, str]) -> None:
    fill(sheet, *labels)
    with pytest.raises(BadFile, match="label must be") as error:
        read(sheet)
    assert "Celsius" not in str(error.value)


def test_rows_of_another_sheet_and_rows_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, TURNS, DESIGN)
    path.write_text('{"id": "f9", "label": "SAT"}\n')
    with pytest.raises(BadFile, match="none of those drawn"):
        read(path)
    path.write_text('{"id": "f1", "label": "SAT"}\n{"id": "f1", "label": "SAT"}\n')
    with pytest.raises(BadFile, match="stands twice"):
        read(path)


def test_words_with_any_line_end_stay_in_their_line(sheet: Path) -> None:
    """JSON escapes none of these, and a spreadsheet keeps them in the cell."""
    sheet.unlink()
    design_of(sheet).unlink()
    write(sheet, [Turn("f1", "a\u2028b", "c\x85d", "e\x0bf\r\ng\rh"), TURNS[1]], DESIGN)
    assert read(sheet) == (DESIGN, {})
    fill(sheet, "SAT", "none")
    assert read(sheet)[1] == {"f1": "SAT", "-f2": "none"}


def test_what_a_spreadsheet_leaves_behind_is_read(tmp_path: Path) -> None:
    """Another order and encoding, further columns, rows deleted, and empty ones after the last."""
    path = tmp_path / "a.csv"
    write(path, TURNS, DESIGN)
    path.write_bytes("label;note;followup;id\r\nSAT;schön;x;'-f2\r\n;;;\r\n;\r\n".encode("cp1252"))
    assert read(path)[1] == {"-f2": "SAT"}
    path.write_text("id,label\n,SAT\n")
    with pytest.raises(BadFile, match="none of those drawn"):
        read(path)


@pytest.mark.parametrize("name", ["0012", "12e45678", "2026-01-02", "1234567890123456789", "3/4"])
def test_a_spreadsheet_takes_no_id_for_a_number_or_a_date(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, [Turn(name, "", "", "")], Design("minilm", "v", "m", 0, {"SAT": 1}, {name: READS["f1"]}))
    assert f"'{name}," in path.read_text("utf-8-sig")
    path.write_text(f"id,label\n'{name},SAT\n")
    assert read(path)[1] == {name: "SAT"}


def test_a_cell_is_no_longer_than_a_spreadsheet_or_its_reader_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, [Turn("f1", "", "x" * 200_000, "no"), TURNS[1]], DESIGN)
    assert read(path) == (DESIGN, {})
    rows = csv.reader(path.read_text("utf-8-sig").splitlines(keepends=True))
    assert max(len(cell) for row in rows for cell in row) == 32_767


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "\x00", ""])
def test_a_file_that_is_no_sheet_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, TURNS, DESIGN)
    path.write_text(text)
    with pytest.raises(BadFile):
        read(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"turns": {"f1": {"stratum": 3}}}'])
def test_a_design_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, TURNS, DESIGN)
    design_of(path).write_text(text)
    with pytest.raises(BadFile, match="is no design"):
        read(path)
    design_of(path).unlink()
    with pytest.raises(BadFile, match="cannot read"):
        read(path)

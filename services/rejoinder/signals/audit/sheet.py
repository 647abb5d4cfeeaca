"""The labelling sheet, and what stands beside it.

The sheet (CSV, or JSON Lines where its name ends so) holds the words and an empty `label` a line, in an order that says
nothing; what the extractor said is not in it, so that nobody is led. `<sheet>.design.json` holds that and no word. Both
can be read by their owner alone; erasing a user does not reach them, so they should go when they were read.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rejoinder.core import typed
from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.signals.calibration import CLASSES

COLUMNS = ("id", "asked", "answer", "followup", "label")
#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: What it would take for a number or a date, and write back in another form.
_NUMBER = re.compile(r"[\d.,:/eE+ -]*\d[\d.,:/eE+ -]*")
#: Characters that a cell of a spreadsheet holds; what is beyond would spill into other rows.
_CELL_CHARS = 32_767


@dataclass(frozen=True)
class Turn:
    """Words of one turn. asked: what the user had said before the answer."""

    id: str
    asked: str
    answer: str
    followup: str


@dataclass(frozen=True)
class Read:
    """What the extractor said of a drawn turn. p: shipped probabilities of DSAT, none, SAT, before a recalibration.
    confidence: of what was said, as the signal has it."""

    stratum: str
    p: tuple[float, float, float]
    confidence: float


@dataclass(frozen=True)
class Design:
    """population: turns of each stratum. version: the extractor's, whole; model: its encoder's. seed: of the draw."""

    extractor: str
    version: str
    model: str
    seed: int
    population: Mapping[str, int]
    turns: Mapping[str, Read]


def design_of(sheet: Path) -> Path:
    return sheet.with_name(sheet.name + ".design.json")


def write(sheet: Path, turns: Sequence[Turn], design: Design) -> None:
    """Raises FailedPrecondition rather than write over labels."""
    if sheet.exists():
        raise FailedPrecondition(f"{sheet} is there already; labels are not written over")
    _create(design_of(sheet), json.dumps(asdict(design), indent=1) + "\n")
    if sheet.suffix == ".jsonl":
        lines = (json.dumps({**asdict(turn), "label": None}, ensure_ascii=False) for turn in turns)
        _create(sheet, "".join(line + "\n" for line in lines))
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for turn in turns:
        name = "'" + turn.id if _NUMBER.fullmatch(turn.id) else _harmless(turn.id)
        writer.writerow((name, *(_harmless(part) for part in (turn.asked, turn.answer, turn.followup)), ""))
    # With a byte order mark: spreadsheets take UTF-8 for another encoding without.
    _create(sheet, "\ufeff" + text.getvalue())


def read(sheet: Path) -> tuple[Design, dict[str, str]]:
    """The design, and the labels given by id; lines without one are left out. Raises BadFile, never with a word."""
    design = _design(design_of(sheet))
    try:
        # Ids and labels are all that is read, so words may come back in another encoding.
        text = sheet.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise BadFile(f"cannot read {sheet}: {type(error).__name__}", file=sheet.name) from None
    given: dict[str, str] = {}
    for number, row in _lines(sheet, text):
        where = f"{sheet.name} row {number}"
        # As it was written: a leading apostrophe keeps an id from being a formula.
        name = str(row.get("id") or "")
        name = name if name in design.turns else name.removeprefix("'")
        label = str(row.get("label") or "").strip()
        # Rows that a spreadsheet leaves after the last.
        if not name and not label:
            continue
        if name not in design.turns:
            raise BadFile(f"{where}: its id is none of those drawn", file=sheet.name, row=number)
        if name in given:
            raise BadFile(f"{where}: its id stands twice", file=sheet.name, row=number)
        known = {one.lower(): one for one in CLASSES}
        if label and label.lower() not in known:
            raise BadFile(f"{where}: label must be DSAT, none or SAT, or empty", file=sheet.name, row=number)
        given[name] = known.get(label.lower(), "")
    return design, {name: label for name, label in given.items() if label}


def _lines(sheet: Path, text: str) -> Sequence[tuple[int, Mapping[str, Any]]]:
    if sheet.suffix == ".jsonl":
        out = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise BadFile(f"{sheet.name} row {number} is no object", file=sheet.name, row=number)
            out.append((number, row))
        return out
    # Spreadsheets of some countries write semicolons.
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ","
    )
    try:
        rows = list(enumerate(reader, 2))
    except csv.Error:
        raise BadFile(f"{sheet.name} is no CSV", file=sheet.name) from None
    if not {"id", "label"} <= set(reader.fieldnames or ()):
        raise BadFile(f"{sheet.name} has no columns id and label", file=sheet.name)
    return rows


def _design(path: Path) -> Design:
    try:
        value = json.loads(path.read_text("utf-8"))
        turns = {name: typed.make(Read, turn) for name, turn in dict(value["turns"]).items()}
        return typed.make(Design, {**value, "turns": turns})
    except OSError as error:
        raise BadFile(f"cannot read {path}, which was written beside the sheet: {type(error).__name__}") from None
    except (ValueError, TypeError, KeyError):
        raise BadFile(f"{path.name} is no design of an audit", file=path.name) from None


def _harmless(text: str) -> str:
    return ("'" + text if text.startswith(_FORMULA) else text)[:_CELL_CHARS]


def _create(path: Path, text: str) -> None:
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FailedPrecondition(f"{path} is there already; labels are not written over") from None
    except OSError as error:
        raise BadFile(f"cannot write {path}: {type(error).__name__}", file=path.name) from None
    with os.fdopen(made, "w", encoding="utf-8", newline="") as file:
        file.write(text)

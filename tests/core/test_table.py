"""core/table: a row by its name or by its place, and its parameters; what is none is said in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadSettings, UnknownRow
from rejoinder.core.table import Row, Table


@dataclass(frozen=True)
class Params:
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ValueError("share must be at most 1")


ROW = Row("given", print, Params)
NO_ROW = print
TABLE = Table("thing", ROW, Row("bare", print))


def test_a_row_is_found_by_its_name_and_a_private_one_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_private_rows.py").write_text("from rejoinder.core.table import Row\nMINE = Row('mine', print)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert TABLE.resolve("given") is ROW
    assert TABLE.resolve("my_private_rows:MINE").name == "mine"
    with pytest.raises(UnknownRow, match="known: given, bare"):
        TABLE.resolve("my_private_rows:OTHERS")


@pytest.mark.parametrize(
    "name", ["nowhere.at_all:ROW", ":ROW", ".:ROW", "..up:ROW", "a b:ROW", "\x00:ROW", "broken_rows:ROW"]
)
def test_a_module_that_cannot_be_imported_is_one_friendly_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "broken_rows.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadSettings, match="cannot be imported"):
        TABLE.resolve(name)


def test_an_unknown_name_answers_with_the_known_ones() -> None:
    with pytest.raises(UnknownRow, match="known: given, bare"):
        TABLE.resolve("magic")


def test_parameters_come_from_a_mapping() -> None:
    assert TABLE["given"].with_params({"share": 1}) == Params(1)
    assert TABLE["given"].with_params() == Params()
    assert TABLE["bare"].with_params({}) is None
    with pytest.raises(ValueError, match="at most 1"):
        TABLE["given"].with_params({"share": 2})


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ("given", {"shrae": 1}),
        ("given", {"share": "0.5"}),
        ("given", "text"),
        ("given", [["share", 1]]),
        ("bare", {"share": 1}),
        ("bare", {1: 2, "a": 3}),
    ],
)
def test_parameters_that_are_none_are_a_type_error(row: str, values: Any) -> None:
    with pytest.raises(TypeError):
        TABLE[row].with_params(values)

"""cli/output: JSON that every reader understands, tables with figures to three digits."""

from __future__ import annotations

import json

import pytest
from rejoinder.cli.output import cell, print_json, print_table


def test_what_was_not_measured_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """F08: missing is not zero."""
    print_json({"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": 0.0}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": {"d": 0.0}}


def test_a_table_in_a_pipe_folds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Title", ("name", "figure"), [("x" * 120, 0.12345), ("y", None)])
    said = capsys.readouterr().out
    assert "x" * 120 in said
    assert "0.123" in said
    assert "–" in said


def test_cells_say_what_is_missing() -> None:
    assert [cell(v) for v in (None, 1, 0.5, "a")] == ["–", "1", "0.500", "a"]

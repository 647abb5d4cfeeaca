"""cli/output: JSON that every reader understands, tables with figures to three digits."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rejoinder.cli import output
from rejoinder.cli.output import OutFile, cell, print_json, print_table, progress, stages
from rejoinder.core.errors import BadFile
from rich.console import Console


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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a person at a terminal sees on stderr."""
    screen = io.StringIO()
    made = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(output, "Console", lambda **options: made)
    return screen


def two_steps(*, quiet: bool) -> None:
    with stages("round", 2, quiet=quiet) as begin:
        begin("pairs")
        begin("  of [edits]", part=True)
        begin("train")


def test_a_person_at_a_terminal_sees_every_step_and_how_far_it_is(terminal: io.StringIO) -> None:
    two_steps(quiet=False)
    seen = terminal.getvalue()
    assert all(word in seen for word in ("round", "pairs", "  of [edits]", "train", "━"))


def test_elsewhere_there_are_lines_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    two_steps(quiet=False)
    with progress("reading", 10) as advance:
        advance(5)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "pairs\n  of [edits]\ntrain\n")


def test_who_asked_for_json_is_told_nothing_else(terminal: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    two_steps(quiet=True)
    with progress("reading", 10, quiet=True) as advance:
        advance(5)
    assert (terminal.getvalue(), capsys.readouterr().err) == ("", "")


def test_a_bar_stands_where_it_was_moved_to(terminal: io.StringIO) -> None:
    with progress("reading", 10) as advance:
        advance(10)
    assert "reading" in terminal.getvalue()
    assert "━" in terminal.getvalue()


def test_an_output_is_tried_before_and_left_as_it_was(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "made" / "new"
    there.write_text("as it was")
    assert [OutFile().convert(str(path), None, None) for path in (there, new)] == [there, new]
    assert there.read_text() == "as it was"
    assert new.parent.is_dir()
    assert not new.exists()


def test_an_output_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match=r"cannot write .*file/x: not a directory"):
        OutFile().convert(str(tmp_path / "file" / "x"), None, None)

"""tests/breaking: a proto that would break who is deployed is refused by `make check`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.breaking import ROOT, before, main

PROTO = 'syntax = "proto3";\npackage x.v1;\nmessage Said {{\n  string text = {number};\n}}\n'


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def said(folder: Path, number: int) -> None:
    (folder / "protos" / "x" / "v1" / "x.proto").write_text(PROTO.format(number=number))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A branch off main; main went on since."""
    (tmp_path / "protos" / "x" / "v1").mkdir(parents=True)
    (tmp_path / "buf.yaml").write_text((ROOT / "buf.yaml").read_text())
    said(tmp_path, 1)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "checkout", "-qb", "work")
    git(tmp_path, "commit", "-qm", "two", "--allow-empty")
    return tmp_path


def test_a_moved_field_is_refused_and_a_new_one_is_not(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = checkout / "protos" / "x" / "v1" / "x.proto"
    proto.write_text(proto.read_text().replace("}", "  string more = 2;\n}"))
    assert main(checkout) == 0
    said(checkout, 7)
    assert main(checkout) != 0
    assert "x.proto" in capsys.readouterr().out
    git(checkout, "commit", "-qam", "committed on the branch, it is no less a break")
    assert main(checkout) != 0


def test_on_main_it_is_compared_with_the_commit_before(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "main")
    assert before(checkout) == first
    git(checkout, "checkout", "-q", "main")
    said(checkout, 7)
    git(checkout, "commit", "-qam", "broken")
    assert before(checkout) == first
    assert main(checkout) != 0


def test_without_history_one_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 0
    assert "no git history" in capsys.readouterr().out

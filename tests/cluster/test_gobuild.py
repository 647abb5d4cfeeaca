"""gobuild: what a machine without a fit Go is told, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import gobuild

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("version", "fit"), [("go1.19.8", False), ("go1.24.0", True), ("go1.30", True), ("", False)])
def test_a_go_that_is_too_old_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fit: bool) -> None:
    program = tmp_path / "go"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    monkeypatch.setattr(gobuild.shutil, "which", lambda name: str(program))
    monkeypatch.setattr(gobuild.os, "access", lambda path, mode: path == str(program))
    if fit:
        assert gobuild.go() == str(program)
    else:
        with pytest.raises(gobuild.CannotBuild, match="an older one is here"):
            gobuild.go()


def test_a_failing_build_is_one_line_and_leaves_no_half_program(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.24.1 && exit\nexit 1\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tests.cluster.kubernetes.build", "kubectl"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "kubernetes: kubectl could not be built; Go's own words stand above\n"
    assert not list(tmp_path.rglob("kubectl"))

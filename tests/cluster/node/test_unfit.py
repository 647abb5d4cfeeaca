"""Which machine runs no node, and that it says why in one line. Starts nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.node import node
from tests.needs import NODE


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs: each is there and does nothing; of control groups there is one."""
    (tmp_path / "cgroup" / "memory").mkdir(parents=True)
    monkeypatch.setattr(node, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in (*NODE.values(), "unshare"):
        program(folder, name, "exit 0")
    program(folder, "containerd", "echo containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{does}\n")
    (folder / name).chmod(0o755)


def test_each_thing_that_is_not_there_is_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = "" if Path("/usr/lib/cni/ptp").exists() else "containernetworking-plugins"
    assert node.unfit() == "" or plugins in node.unfit()
    if not plugins:
        program(programs, "containerd", "echo containerd github.com/containerd/containerd 1.4.13~ds1 1.4.13~ds1-1")
        assert "1.6 or later" in node.unfit()
    (programs / "containerd").unlink()
    assert "apt-get install -y --no-install-recommends containerd" in node.unfit()
    program(programs, "unshare", "exit 1")
    assert "CAP_SYS_ADMIN" in node.unfit()
    (node._CGROUPS / "memory").rmdir()
    assert "control groups" in node.unfit()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert node.unfit() == "a node needs root"

"""What a killed test run leaves is taken away by the next one, and nothing of one that lives. Starts nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.cluster.node import node


def test_only_what_nobody_holds_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(node, "_CGROUPS", tmp_path / "cgroup")
    living, dead, begun = (tmp_path / f"rejoinder-node-{name}" for name in ("living", "dead", "begun"))
    for folder in (living, dead, begun):
        folder.mkdir()
        (tmp_path / "cgroup" / "memory" / folder.name / "kubepods").mkdir(parents=True)
    with node.ours(dead):
        pass
    with node.ours(living):
        node.sweep()
    assert {each.name for each in tmp_path.glob("rejoinder-node-*")} == {living.name, begun.name}
    assert {each.name for each in (tmp_path / "cgroup" / "memory").iterdir()} == {living.name, begun.name}

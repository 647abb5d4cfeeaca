"""rounds/stages: same inputs, same output, computed once; a command's failure is one line without its input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import FailedPrecondition
from rejoinder.registry.store import FolderStore
from rejoinder.rounds.stages import Stages, command, paths


def test_a_stage_runs_once_for_its_inputs_and_again_for_others(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    stages = Stages(FolderStore(tmp_path), lambda name, how: told.append((name, how)))
    made: list[str] = []

    def make(key: str) -> Mapping[str, Any]:
        made.append(key)
        return {"digest": key}

    first = stages.run("pairs", {"window": "w1"}, make)
    assert stages.run("pairs", {"window": "w1"}, make) == first
    assert stages.run("pairs", {"window": "w2"}, make).key != first.key
    assert len(made) == 2
    assert told == [("pairs", "run"), ("pairs", "taken"), ("pairs", "run")]


def test_a_stage_that_fails_leaves_no_output(tmp_path: Path) -> None:
    stages = Stages(FolderStore(tmp_path), lambda name, how: None)

    def broken(key: str) -> Mapping[str, Any]:
        raise FailedPrecondition("no")

    with pytest.raises(FailedPrecondition):
        stages.run("train", {}, broken)
    assert stages.run("train", {}, lambda key: {"ok": True}).output == {"ok": True}


def test_a_commands_last_json_line_is_its_answer() -> None:
    program = "print('noise'); print('{\"a\": 1}'); print('{\"b\": 2}'); print('bye')"
    assert command([sys.executable, "-c", program]) == {"b": 2}


def test_a_command_that_fails_says_its_last_words() -> None:
    program = "import sys; print('long story', file=sys.stderr); sys.exit('out of memory')"
    with pytest.raises(FailedPrecondition, match="out of memory"):
        command([sys.executable, "-c", program])


def test_paths_are_named_as_the_commands_take_them() -> None:
    assert paths(base=Path("b"), onnx_adapter=Path("a")) == ["--base", "b", "--onnx-adapter", "a"]

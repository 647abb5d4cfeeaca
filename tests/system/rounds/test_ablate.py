"""`rejoinder round ablate` on real training: what was built to matter does, a copy does not, kill -9 costs one cell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.system.rounds.world import World, world

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    found = world(tmp_path_factory.mktemp("ablation"))
    found.rejoinder("import", str(found.folder / "trees.jsonl"), "--data", str(found.folder / "data"), "--no-signals")
    (found.folder / "noisy.yaml").write_text("train: {swap_share: 0.5}\n")
    (found.folder / "copy.yaml").write_text("")
    (found.folder / "slow.yaml").write_text("train: {settings: {lr: 0.005}}\n")
    return found


def words(made: World, data: Path) -> list[str]:
    folder = made.folder
    varied = [f"data={folder / 'noisy.yaml'},{folder / 'copy.yaml'}", f"algorithm={folder / 'slow.yaml'}"]
    named = [f"--data={data}", f"--recipe={folder / 'short.yaml'}", f"--base={made.base}"]
    return ["round", "ablate", *named, *(word for one in varied for word in ("--vary", one))]


def figures(report: dict[str, Any]) -> list[Any]:
    """All of it but what hangs on the clock and on who was first."""
    kept = ("measures", "levels", "trained_on", "comparisons", "slot", "level")
    return [{name: one[name] for name in kept if name in one} for one in (*report["cells"], *report["effects"])]


def test_killed_after_two_cells_it_goes_on_to_the_figures_of_one_that_was_not(made: World) -> None:
    killed, whole = made.folder / "killed", made.folder / "whole"
    for data in (killed, whole):
        shutil.copytree(made.folder / "data", data)
    process = subprocess.Popen(
        [sys.executable, "-m", "rejoinder.cli.main", *words(made, killed)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    begun = [line for _, line in zip(range(5), process.stderr, strict=False)]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert begun[-1].startswith("data=noisy, algorithm=base"), begun
    process.stderr.close()
    resumed, uninterrupted = (made.rejoinder(*words(made, data)) for data in (killed, whole))
    assert figures(resumed) == figures(uninterrupted)
    taken = {tuple(cell["levels"].values()): cell["runs"][0]["taken"] for cell in resumed["cells"]}
    assert taken["base", "base"]
    assert taken["base", "slow"]
    assert not taken["noisy", "base"]

    effects = {found["level"]: found["measures"]["ranking_accuracy"] for found in resumed["effects"]}
    assert effects["noisy"]["high"] < -0.3
    assert effects["copy"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert {cell["cost"]["tokens"] for cell in resumed["cells"]} == {resumed["token_budget"]}

"""What a test run has started ends with it, also when it is killed. Starts no node."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.images.dockerfile import ROOT

#: What a run does when it is killed; `sleep 60` stands for what is long.
RUNS = {
    "helm": """
from pathlib import Path
from types import SimpleNamespace
from tests.cluster.node import helm
helm.program = str
at = Path("{folder}")
helm.helm(SimpleNamespace(folder=at, kubeconfig=at / "k", command=lambda *_: ["sh", "-c", "exec sleep 60"]), "ns")
""",
    "instruction": """
import os
from pathlib import Path
from tests.cluster.images import layers
os.environ["XDG_CACHE_HOME"] = "{folder}"
Path("{folder}/rejoinder/images/layers").mkdir(parents=True)
(Path("{folder}") / "base").mkdir()
layers._mounted(layers.Image((Path("{folder}/base"),)), None, "sleep 60; true", {{"RUN": "{folder}"}})
""",
}


def of_run(folder: Path) -> set[int]:
    """Processes that wait there on behalf of the run: they have its folder in their environment."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if (
                str(folder).encode() in (each / "environ").read_bytes()
                and (each / "cmdline").read_bytes() == b"sleep\x0060\x00"
            ):
                found.add(int(each.name))
        except OSError:
            continue
    return found


def until(true: Callable[[], bool], run: subprocess.Popen[str], what: str) -> None:
    end = time.monotonic() + 30.0
    while not true():
        assert time.monotonic() < end, what
        assert run.poll() in (None, -15), run.communicate()[1]
        time.sleep(0.01)


@pytest.mark.parametrize("name", sorted(RUNS))
def test_nothing_runs_on_when_a_run_is_killed(name: str, tmp_path: Path) -> None:
    with subprocess.Popen(["unshare", "-m", "true"], stderr=subprocess.DEVNULL) as asked:
        if asked.wait():
            pytest.skip("mounts of its own are refused here: no root")
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUNS[name].format(folder=tmp_path)]
    run = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **paths, "RUN": str(tmp_path)}, stderr=-1, text=True)
    with run:
        until(lambda: bool(of_run(tmp_path)), run, "never began")
        run.terminate()
        run.wait()
        until(lambda: not of_run(tmp_path), run, "runs on")

"""loadtests/processes: what is under measure neither waits for a reader that it lacks nor outlives who started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.processes import ROOT, Measured, environment
from tests.chaos.harness import wait_until

pytestmark = pytest.mark.system

READY = "import sys\nfrom pathlib import Path\nfrom loadtests.processes import say_ready\n"


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(READY + text, "utf-8")
    return str(path)


def test_what_a_server_prints_goes_to_its_log_and_holds_it_up_nowhere(tmp_path: Path) -> None:
    """Twice what a pipe takes."""
    chatty = program(tmp_path, "print('x' * 131072, flush=True)\nsay_ready(Path(sys.argv[1]), 7)\nsys.stdin.read()\n")
    with Measured("chatty", tmp_path, (chatty,), start_s=20.0) as server:
        assert server.port == 7
    assert (tmp_path / "chatty.log").stat().st_size > 131072


def test_a_worker_answers_line_by_line(tmp_path: Path) -> None:
    echo = program(tmp_path, "say_ready(Path(sys.argv[1]), 0)\nfor line in sys.stdin:\n print(line, flush=True)\n")
    with Measured("echo", tmp_path, (echo,), answers=True) as worker:
        assert worker.ask({"a": 1}) == {"a": 1}


STARTS = """
import signal
from loadtests.processes import ends_with_us
from tests.system.policy.world import World
says = ("-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
World(Path(sys.argv[1]), feedback=says, first=ends_with_us(signal.SIGKILL)).start()
"""


def test_a_world_of_services_ends_with_the_bench_that_was_killed(tmp_path: Path) -> None:
    """It waits for a service that never serves: killed there, it can tidy nothing up."""
    log = tmp_path / "feedback.log"
    command = [sys.executable, program(tmp_path, STARTS), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment()) as bench:
        try:
            wait_until(lambda: log.exists() and log.read_text().endswith("\n"), "the service")
            pid = int(log.read_text())
        finally:
            bench.send_signal(signal.SIGKILL)
    wait_until(lambda: gone(pid), "its end", 10.0)


def gone(pid: int) -> bool:
    """Whether a process has ended, collected by its new parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True

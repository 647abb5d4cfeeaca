"""Forks `rejoinder` commands: one interpreter reads the libraries for all of them, so that ten deaths cost one start.

Asked as `rejoinder.training.warm` is. `world FOLDER` builds what a round needs; `round run` finds the process that it
would begin, and that would read for seconds, forked beside it: in a session of its own, asked over the same pipes, and
at its end when these close.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import IO

from rejoinder.cli import main as cli
from rejoinder.rounds.warm import Warm
from rejoinder.training import __main__ as training
from rejoinder.training import warm

#: What the commands that are asked for import when they are called.
MODULES = ("cli.import_", "cli.loop", "cli.round", "cli.trace", "rounds.services", "clients.policy", "clients.reward")


class Beside:
    """A forked process as `Warm` uses a `subprocess.Popen`. owns: our ends of its pipes."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._status: int | None = None

    def poll(self) -> int | None:
        return self._waited(os.WNOHANG)

    def wait(self) -> int | None:
        return self._waited(0)

    def _waited(self, how: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, how)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


def warm_beside() -> None:
    """Forks the warm process; the first one that this process begins is it."""
    (heard, asks), (answers, told) = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.dup2(heard, 0)
        os.dup2(told, 1)
        # Also our ends of the pipes: it must see them close.
        os.closerange(3, 1024)
        os._exit(warm.serve(training.main, lambda: None))
    os.close(heard)
    os.close(told)
    ready = [Beside(pid, os.fdopen(asks, "w"), os.fdopen(answers))]
    begun = Warm._begun
    Warm._begun = staticmethod(lambda: ready.pop() if ready else begun())  # type: ignore[method-assign, assignment]


def command(words: list[str]) -> int:
    if words[0] == "world":
        from tests.system.rounds.world import world

        world(Path(words[1]))
        return 0
    if words[:2] == ["round", "run"]:
        warm_beside()
    cli.main(words)
    return 0


def prepare() -> None:
    warm.read_libraries()
    for name in MODULES:
        importlib.import_module(f"rejoinder.{name}")
    importlib.import_module("rejoinder.training.export")


if __name__ == "__main__":
    # Nothing to tidy up: taking all those libraries apart would take a second.
    os._exit(warm.serve(command, prepare))

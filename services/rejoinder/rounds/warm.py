"""Stages' commands of the training room in a process that stays warm: reading torch takes longer than most of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rejoinder.rounds.stages import TRAINING, command, environment, outcome


class Warm:
    """`stages.command` with one difference: the training room's commands are forked from a process that is ready.

    owns: that process, from entering to leaving; begun at once, so that it warms while pairs are built. A process that
    died is begun again by the next command. Commands of other programs run as ever.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._ready = False
        self._one = threading.Lock()

    def __enter__(self) -> Warm:
        self._folder = tempfile.TemporaryDirectory()
        self._process = self._begun()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
        self._folder.cleanup()

    def __call__(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The command's last line of JSON. Raises FailedPrecondition with its own last words."""
        if tuple(arguments[: len(TRAINING)]) != TRAINING:
            return command(arguments)
        with self._one:
            out, err = Path(self._folder.name) / "out", Path(self._folder.name) / "err"
            for file in (out, err):
                file.write_text("")
            asked = {"arguments": list(arguments[len(TRAINING) :]), "out": str(out), "err": str(err)}
            return outcome(arguments[0], self._status(asked), out.read_text("utf-8"), err.read_text("utf-8"))

    def _status(self, asked: dict[str, Any]) -> int:
        try:
            return self._asked(asked)
        except BaseException:
            # Whoever interrupts the wait ends the command, as with a process of its own.
            self._end()
            raise

    def _asked(self, asked: dict[str, Any]) -> int:
        if self._process is None or self._process.poll() is not None:
            self._process, self._ready = self._begun(), False
        process = self._process
        said, heard = _pipes(process)
        try:
            if not self._ready:
                self._ready = bool(heard.readline())
            said.write(json.dumps(asked) + "\n")
            said.flush()
            line = heard.readline()
        except BrokenPipeError:
            line = ""
        return int(json.loads(line)["status"]) if line else process.wait()

    @staticmethod
    def _begun() -> subprocess.Popen[str]:
        # A session of its own: ending the group ends the command that is under way, too.
        return subprocess.Popen(
            [*TRAINING, "warm"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in _pipes(process):
            with suppress(BrokenPipeError):
                pipe.close()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """To it and from it: both were asked for as it was begun."""
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout

"""Processes under measure: started with a ready file, their CPU time and memory read from /proc, ended with us."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
_START_S = 60.0


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, made of `requirements/<peer>.txt` when it is missing. Raises
    CalledProcessError."""
    made = ROOT / ".venvs" / peer
    if not (made / ".ready").exists():
        subprocess.run(["make", "-s", f".venvs/{peer}/.ready"], cwd=ROOT, check=True)
    return made / "bin" / "python"


def environment() -> dict[str, str]:
    """Of a process of ours: this tree's sources before all others."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "services")))}


def say_ready(path: Path, port: int) -> None:
    """What a process under measure says once it serves (port 0: on stdin). Renamed: a reader sees the whole or none."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"port": port}) + "\n", "utf-8")
    beside.replace(path)


class Measured:
    """A server or a worker in a process of its own. owns: the process, a ready file and a log file in `folder`.

    command: without the interpreter; the ready file's path is added to it, or is in the environment under `ready_name`,
    or is `ready`, which the command names itself. also: more of the environment. start_s: seconds until it must serve.
    answers: it is a worker, whose stdout is answers to `ask`; what a server prints goes to its log.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str],
        also: Mapping[str, str] | None = None,
        ready_name: str = "",
        python: Path = Path(sys.executable),
        ready: Path | None = None,
        start_s: float = _START_S,
        answers: bool = False,
    ) -> None:
        self.name = name
        self._ready = ready or folder / f"{name}.ready"
        self._log = folder / f"{name}.log"
        # Of an earlier process of this name.
        self._ready.unlink(missing_ok=True)
        said = {ready_name: str(self._ready)} if ready_name else {}
        added = () if ready_name or ready else (str(self._ready),)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), *command, *added],
                cwd=ROOT,
                env={**environment(), **(also or {}), **said},
                stdin=subprocess.PIPE,
                # A pipe that nobody reads would hold up who writes more than it takes.
                stdout=subprocess.PIPE if answers else log,
                stderr=log,
                preexec_fn=ends_with_us(signal.SIGKILL),
            )
        try:
            self.port = self._wait(start_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_us(self) -> float:
        """User and system time of all its threads, those that have ended included, and of its children's that live; in
        steps of a clock tick."""
        return sum(map(cpu_us_of, _family(self.pid)))

    def on(self, cores: Set[int]) -> None:
        """All its threads, and those of its children, on some cores alone."""
        for pid in _family(self.pid):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), cores)

    def rss_bytes(self) -> int:
        return rss_bytes_of(self.pid)

    def ask(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """One line to a worker, which answers with one. Raises RuntimeError when it has ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(said).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: {self._log.read_text(errors='replace')[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """SIGTERM, SIGKILL after ten seconds."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Measured:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _wait(self, start_s: float) -> int:
        deadline = time.monotonic() + start_s
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.01)
        return int(json.loads(self._ready.read_text("utf-8"))["port"])


@contextmanager
def apart(servers: Sequence[Measured]) -> Iterator[bool]:
    """Servers on a core of their own, and this process with all that it starts on the others: who sends is not kept
    waiting by whom it overloads. False where there is one core, and all stay as they are."""
    all_of = os.sched_getaffinity(0)
    if len(all_of) < 2:
        yield False
        return
    own = {min(all_of)}
    try:
        for each in servers:
            each.on(own)
        os.sched_setaffinity(0, all_of - own)
        yield True
    finally:
        os.sched_setaffinity(0, all_of)
        for each in servers:
            each.on(all_of)


def cpu_us_of(pid: int) -> float:
    """User and system time of all threads of a process, those that have ended included; 0 where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_US


def rss_bytes_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * _PAGE


def _family(pid: int) -> list[int]:
    """The process and all that came from it."""
    found = [pid]
    for each in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, children.read_text("utf-8").split())
    return found


def ends_with_us(how: signal.Signals) -> Callable[[], None]:
    """For a child to run first: the kernel sends it this as the thread that started it ends, however that ends."""
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, how)

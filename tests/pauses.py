"""A command on a machine that makes everybody wait: its processes are stopped at random, again and again.

    python -m tests.pauses [--most-ms 400] [--seed 0] -- python tests/rings.py --ring system

Finds tests (and programs) that hold only where nothing ever takes a second longer. Each round stops four in ten of the
command's descendants for 20 ms to `--most-ms`, then lets all go on for up to half a second. Left alone are processes
that somebody else has stopped, and all of a namespace entered by `nsenter` or made by `unshare`, which stop with their
child and are never told to go on. Ends with the command's own exit status.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

_SHARE = 0.4
_LEAST_S, _REST_S = 0.02, (0.05, 0.5)
_FOLLOWS_ITS_CHILD = ("nsenter", "unshare")


def _processes() -> Iterator[tuple[int, int, str, str]]:
    """Process id, its parent's, name and state."""
    for each in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{each}/stat") as file:
            head, _, rest = file.read().rpartition(")")
            state, parent = rest.split()[:2]
            yield int(each), int(parent), head.partition("(")[2], state


def below(root: int) -> list[int]:
    """Descendants that may be stopped."""
    children: dict[int, list[int]] = {}
    facts = {}
    for process, parent, name, state in _processes():
        children.setdefault(parent, []).append(process)
        facts[process] = (name, state)
    out, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), ()):
            name, state = facts[child]
            if name not in _FOLLOWS_ITS_CHILD:
                todo.append(child)
                out += [child] if state in "RSD" else []
    return out


def pause(processes: list[int], seconds: float) -> None:
    """Stops them for so long."""
    stopped = []
    try:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
                stopped.append(process)
        time.sleep(seconds)
    finally:
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most-ms", type=int, default=400, help="the longest pause (400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    command = subprocess.Popen(arguments.command)
    while command.poll() is None:
        chosen = [process for process in below(os.getpid()) if rng.random() < _SHARE]
        pause(chosen, rng.uniform(_LEAST_S, max(_LEAST_S, arguments.most_ms / 1000)))
        time.sleep(rng.uniform(*_REST_S))
    return command.returncode


if __name__ == "__main__":
    sys.exit(main())

"""A process that has read torch once and forks one for every command: a stage then begins in milliseconds, not in 8 s.

Asked line by line on stdin: {"arguments": […], "out": path, "err": path}; answers {"status": exit status} a line. It
does no work itself, so that what a command leaves in memory, or crashes on, is gone with the command. When stdin ends,
so does the command that is under way: whoever asked for it is gone, and will ask again.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable

Main = Callable[[list[str]], int]


def read_libraries() -> None:
    """What the room's commands need and would each read for seconds."""
    import onnxruntime  # noqa: F401
    import onnxruntime_genai  # noqa: F401
    import peft  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    from rejoinder.training import likelihood, parity, stage  # noqa: F401


def serve(main: Main, prepare: Callable[[], None] = read_libraries) -> int:
    """Prepares, says so by an empty line, and answers until stdin ends. main: a command's words → its exit status."""
    prepare()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    print(flush=True)
    # Lines are read by hand: a buffered reader would hide from select what it has already taken.
    asked = b""
    while True:
        line, found, rest = asked.partition(b"\n")
        if found:
            asked = rest
            status = _run(main, json.loads(line), ended)
            if status is None:
                return 0
            print(json.dumps({"status": status}), flush=True)
            continue
        more = os.read(0, 65536)
        if not more:
            return 0
        asked += more


def _run(main: Main, asked: dict[str, object], ended: int) -> int | None:
    """Exit status of a command in a process of its own; None when whoever asked went away, and the command with it."""
    child = os.fork()
    if not child:
        _become(main, asked)
    while True:
        ready = select.select([0, ended], [], [])[0]
        if ended in ready:
            os.read(ended, 4096)
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        elif 0 in ready:
            # One command at a time is asked for, so what comes now can only be the end.
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None


def _become(main: Main, asked: dict[str, object]) -> None:
    """Runs the command in the forked process; never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
            file = os.open(str(path), os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
        status = main([str(word) for word in asked["arguments"]])  # type: ignore[attr-defined]
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

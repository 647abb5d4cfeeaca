"""rounds/warm: commands of the training room in forks of a process that is ready; none outlives whoever asked."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import FailedPrecondition
from rejoinder.rounds import warm
from rejoinder.rounds.stages import TRAINING
from rejoinder.rounds.warm import Warm

from tests.chaos.harness import wait_until

#: Stands for the training room: the same serving, commands of ours, nothing read beforehand.
ROOM = """
import json, os, sys, time
from rejoinder.training.warm import serve

def main(words):
    if words[0] == "say":
        print("noise"); print(json.dumps({"said": words[1:], "pid": os.getpid(), "host": os.getppid()}))
    elif words[0] == "fail":
        print("first", file=sys.stderr); print("last words", file=sys.stderr); return 2
    elif words[0] == "crash":
        raise RuntimeError("crashed")
    elif words[0] == "die":
        os.abort()
    elif words[0] == "wait":
        open(words[1], "w").write(str(os.getpid())); time.sleep(600)
    return 0

sys.exit(serve(main, lambda: print("begun", file=open(sys.argv[1], "a"))))
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Callable[..., dict[str, Any]], Path]]:
    script, begun = tmp_path / "room.py", tmp_path / "begun"
    script.write_text(ROOM)
    program = (sys.executable, str(script), str(begun))
    monkeypatch.setattr(warm, "TRAINING", program)
    with Warm() as run:
        yield lambda *words: run([*program, *words]), begun


def gone(pid: int) -> bool:
    try:
        # A zombie whose parent is gone, too, until it is collected.
        return facts(pid)[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def facts(pid: int) -> list[str]:
    """Of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def spent_s(pid: int) -> float:
    """Processor time of a process and of its children that it has seen end."""
    return sum(map(int, facts(pid)[11:15])) / os.sysconf("SC_CLK_TCK")


def test_commands_run_in_processes_of_their_own_and_what_they_need_is_read_once(room: Any) -> None:
    run, begun = room
    first, second = run("say", "a b", "ä"), run("say", "c")
    assert first["said"] == ["a b", "ä"]
    assert second["said"] == ["c"]
    assert first["pid"] != second["pid"]
    assert begun.read_text() == "begun\n"


def test_a_command_that_fails_is_told_with_its_last_words_and_the_next_one_runs(room: Any) -> None:
    run, begun = room
    for words, said in (("fail",), "last words"), (("crash",), "RuntimeError: crashed"), (("die",), "exit status -6"):
        with pytest.raises(FailedPrecondition, match=said):
            run(*words)
    assert run("say", "still")["said"] == ["still"]
    assert begun.read_text() == "begun\n"


def test_a_host_that_was_killed_is_begun_again(room: Any) -> None:
    run, begun = room
    host = run("say", "once")["host"]
    os.kill(host, signal.SIGKILL)
    wait_until(lambda: gone(host), "the end of the host")
    assert run("say", "again")["said"] == ["again"]
    assert begun.read_text() == "begun\nbegun\n"


def test_another_program_runs_as_ever(room: Any, tmp_path: Path) -> None:
    with Warm() as run:
        assert run([sys.executable, "-c", "print('{\"x\": 1}')"]) == {"x": 1}


ASKER = """
import signal
import sys
from rejoinder.rounds import warm
# Whoever starts the tests in the background has SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
warm.TRAINING = tuple(sys.argv[1:4])
with warm.Warm() as run:
    run([*warm.TRAINING, "wait", sys.argv[4]])
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_command_outlives_whoever_asked_for_it(tmp_path: Path, end: int) -> None:
    """Also after kill -9, when nobody is left to clean up: the host sees its stdin end."""
    import subprocess

    script, waiting, said = tmp_path / "room.py", tmp_path / "pid", tmp_path / "said"
    script.write_text(ROOM)
    with said.open("wb") as errors:
        asker = subprocess.Popen(
            [sys.executable, "-c", ASKER, sys.executable, str(script), str(tmp_path / "begun"), str(waiting)],
            stderr=errors,
        )
    try:
        wait_until(lambda: (waiting.exists() and bool(waiting.read_text())) or asker.poll() is not None, "the command")
        assert asker.poll() is None, said.read_text()
        command = int(waiting.read_text())
        host = int(facts(command)[1])
        assert not gone(command)
        asker.send_signal(end)
        asker.wait(60)
    finally:
        asker.kill()
        asker.wait()
    wait_until(lambda: gone(command) and gone(host), "the end of both")


def test_the_training_room_answers_from_a_warm_process(tmp_path: Path) -> None:
    """The real one: an error of its own comes through, and the second command has nothing left to read."""
    with Warm() as run:
        asked = [*TRAINING, "export-adapter", "--export", str(tmp_path), "--adapter", str(tmp_path)]
        asked += ["--out", str(tmp_path / "a")]
        with pytest.raises(FailedPrecondition, match=r"rejoinder\.json is missing"):
            run(asked)
        assert run._process is not None
        before = spent_s(run._process.pid)
        with pytest.raises(FailedPrecondition, match=r"rejoinder\.json is missing"):
            run(asked)
        assert spent_s(run._process.pid) - before < 1.0

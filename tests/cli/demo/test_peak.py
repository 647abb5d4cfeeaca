"""cli/demo/peak: the memory of a whole family counts, and each shared page once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rejoinder.cli.demo import peak as looking
from rejoinder.cli.demo.peak import Peak, family

from tests.chaos.harness import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")

#: A parent that starts `child` and waits for it; both end when their input does.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
IDLE = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
HOLDING_MB = 96
HOLDING = f"import os, sys; held = b'x' * ({HOLDING_MB} << 20); print(os.getpid(), flush=True); sys.stdin.read()"


@contextmanager
def parent_of(child: str) -> Iterator[tuple[int, int]]:
    """(process, its child), the child ready."""
    command = [sys.executable, "-S", "-c", PARENT, child]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate()


def test_a_family_is_a_process_with_its_children_and_theirs() -> None:
    with parent_of(IDLE) as (pid, child):
        assert family(pid) == [pid, child]
        assert {pid, child} <= set(family(os.getpid()))
        assert family(child) == [child], "a parent is nobody's descendant"


def test_somebody_elses_process_is_not_of_the_family() -> None:
    with parent_of(IDLE) as (one, child), parent_of(IDLE) as (other, cousin):
        assert not {other, cousin} & set(family(one))
        assert not {one, child} & set(family(other))


def test_a_process_that_has_gone_has_a_family_of_its_number_alone() -> None:
    with parent_of(IDLE) as (pid, _):
        pass
    assert family(pid) == [pid]


def test_the_memory_of_a_child_counts() -> None:
    with parent_of(HOLDING) as (pid, child), Peak(pid) as peak, Peak(child) as alone:
        wait_until(lambda: min(peak.megabytes, alone.megabytes) > 0, "a look at both")
    assert HOLDING_MB <= alone.megabytes < HOLDING_MB + 30
    assert alone.megabytes <= peak.megabytes < alone.megabytes + 30


def test_only_who_has_gained_or_given_back_memory_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {1: (10, 0, 100), 2: (20, 0, 200)}
    read: list[int] = []
    monkeypatch.setattr(looking, "family_marks", lambda pid: dict(marks))
    monkeypatch.setattr(looking, "_size", lambda pid: read.append(pid) or 1)
    peak = Peak()

    def looked() -> list[int]:
        read.clear()
        peak.look()
        return list(read)

    assert looked() == [1, 2]
    assert looked() == []
    marks[2] = (21, 0, 200)
    assert looked() == [2], "a page was copied"
    marks[1] = (10, 0, 90)
    assert looked() == [1], "pages were given back"
    marks[3] = (1, 0, 1)
    assert looked() == [1, 2, 3], "everybody's share of common pages is another"
    del marks[1]
    assert looked() == [2, 3]
    assert sum(looked() == [2, 3] for _ in range(looking.WHOLE_EVERY)) == 1, "now and then all are read"


def test_without_the_child_the_same_parent_is_small() -> None:
    """Control of the one above."""
    with parent_of(IDLE) as (pid, _), Peak(pid) as peak:
        wait_until(lambda: peak.megabytes > 0, "a look")
    assert peak.megabytes < HOLDING_MB / 2


def test_the_peak_is_kept_after_the_memory_was_given_back() -> None:
    with Peak() as peak:
        with parent_of(HOLDING):
            wait_until(lambda: peak.megabytes > HOLDING_MB, "the child's memory")
        seen = peak.megabytes
        with parent_of(IDLE):
            pass
    assert peak.megabytes >= seen > HOLDING_MB

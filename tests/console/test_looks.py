"""console/looks: a line for each look before anything is shown; half a line spoils no other."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from rejoinder.console.looks import Looks
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Unavailable
from rejoinder.runtime.logging import EventLog


def looks(file: Path) -> Looks:
    return Looks(file, ManualClock(5.0), EventLog(logging.Logger("console", logging.CRITICAL)))


async def test_looks_are_told_newest_first_and_to_their_own_tenant(tmp_path: Path) -> None:
    made = looks(tmp_path / "folder" / "looks.jsonl")
    await made.record("ann", "default", "answers", ["i1", "i2"])
    await made.record("odo", "other", "pairs", ["p1"])
    with (tmp_path / "folder" / "looks.jsonl").open("a") as file:
        file.write('{"at": 1, "princ\n')
    await made.record("odo", "default", "answer", ["i1"])
    found = await made.last(10, frozenset({"default"}))
    assert [(look.principal, look.what, look.ids) for look in found] == [
        ("odo", "answer", ("i1",)),
        ("ann", "answers", ("i1", "i2")),
    ]
    assert len(await made.last(10, None)) == 3
    assert (tmp_path / "folder" / "looks.jsonl").stat().st_mode & 0o777 == 0o600


async def test_without_its_record_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        await looks(tmp_path / "file" / "looks.jsonl").record("ann", "default", "answers", ["i1"])


async def test_half_a_line_shows_nothing_and_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = looks(tmp_path / "looks.jsonl")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda opened, data: write(opened, data[:9]))
        with pytest.raises(Unavailable):
            await made.record("ann", "default", "answers", ["i1"])
    await made.record("ann", "default", "answer", ["i2"])
    assert [look.ids for look in await made.last(10, None)] == [("i2",)]

"""runtime/looks: a line for each look before anything is shown; half a line spoils no other; no name stands in it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Unavailable
from rejoinder.core.ids import subject_of
from rejoinder.runtime import looks as module
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.looks import ALL, Looks, Seen

KEY = b"a key of the deployment"


def looks(file: Path, clock: ManualClock | None = None, key: bytes = KEY) -> Looks:
    return Looks(file, key, "console", clock or ManualClock(5.0), EventLog(logging.Logger("x", logging.CRITICAL)))


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_looks_are_told_newest_first_and_to_their_own_tenant(tmp_path: Path) -> None:
    made, file = looks(tmp_path / "folder" / "looks.jsonl"), tmp_path / "folder" / "looks.jsonl"
    await made.record("ann", Seen("answers", "default", ["i1", "i2"]))
    await made.record("odo", Seen("pairs", "other", ["p1"]))
    with file.open("a") as opened:
        opened.write('{"at": 1, "princ\n')
    await made.record("odo", Seen("answer", "default", ["i1"]))
    await made.record("cleo", Seen("export", ALL, users=None, count=214))
    found = await made.last(10, "default")
    assert [(look.principal, look.what, look.count) for look in found] == [
        ("cleo", "export", 214),
        ("odo", "answer", 1),
        ("ann", "answers", 2),
    ]
    assert len(await made.last(10)) == 4
    assert [look.what for look in await made.last(1, "other")] == ["export"]
    assert file.stat().st_mode & 0o777 == 0o600


async def test_no_name_stands_in_a_line_and_whoever_has_the_key_finds_it_again(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    made = looks(file)
    await made.record(
        "odo", Seen("answers", "default", ["ann-s-question", "i2"], [("default", "ann"), ("default", "")])
    )
    await made.record("odo", Seen("answers", "default", ["i2"], [("default", "bob")]))
    await made.record("odo", Seen("answers", "other", ["ann-s-question"], [("other", "ann")]))
    await made.record("worker", Seen("evidence", ALL, users=None, count=None))
    for name in ("ann", "bob", "i2"):
        assert name not in file.read_text()
    # As the log's erasures name her: what is kept of her there is all that is kept here.
    assert lines(file)[0]["users"] == [subject_of(KEY, "default", "ann")]

    def told(**about: str) -> list[tuple[str, int | None]]:
        return [(look.what, look.count) for look in made.read(10, "default", **about)]

    assert told(user="ann") == [("evidence", None), ("answers", 2)]
    assert told(id="ann-s-question") == [("answers", 2)]
    assert told(id="i2", user="bob") == [("answers", 1)]
    assert told(id="never-shown") == []
    assert looks(file, key=b"another key, as long").read(10, "default", id="i2") == [], "nobody else finds it"


async def test_of_very_many_users_a_line_says_that_anybody_may_be_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NAMED", 3)
    made = looks(tmp_path / "looks.jsonl")
    await made.record("ann", Seen("export", ALL, "abcdef", [("t", f"u{n}") for n in range(4)]))
    (look,) = made.read(9, "t", user="somebody else")
    assert (look.count, len(look.ids), look.users) == (6, 3, ("*",))


async def test_without_its_record_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        await looks(tmp_path / "file" / "looks.jsonl").record("ann", Seen("answers", "default", ["i1"]), 60.0)
    (tmp_path / "file").unlink()
    await looks(tmp_path / "file" / "looks.jsonl").record("ann", Seen("answers", "default", ["i1"]), 60.0)


async def test_what_comes_again_and_again_is_recorded_as_often_as_was_said(tmp_path: Path) -> None:
    clock, file = ManualClock(), tmp_path / "looks.jsonl"
    made = looks(file, clock)
    for _ in range(5):
        await made.record("odo", Seen("answers", "default", ["i1"]), 60.0)
        clock.advance(15.0)
    assert [line["at"] for line in lines(file)] == [1_700_000_000.0, 1_700_000_060.0]
    await made.record("ann", Seen("answers", "default", ["i1"]), 60.0)
    await made.record("odo", Seen("answers", "default", ["i2"]), 60.0)
    await made.record("odo", Seen("answers", "default", ["i1"]))
    assert len(lines(file)) == 5, "somebody else, something else, and whoever asks for a line each time"


async def test_another_users_words_under_the_same_answer_are_another_look(tmp_path: Path) -> None:
    made = looks(tmp_path / "looks.jsonl")
    for users in ([("t", "ann")], [("t", "ann")], [("t", "ann"), ("t", "bob")], None):
        await made.record("eve", Seen("answers", "t", ["i-1"], users), once_in_s=60.0)
    assert len(lines(tmp_path / "looks.jsonl")) == 3
    assert len(made.read(10, user="bob", tenant="t")) == 2


async def test_a_look_that_was_not_recorded_is_recorded_at_the_next(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    made = looks(file)
    file.mkdir()
    with pytest.raises(Unavailable):
        await made.record("odo", Seen("answers", "default", ["i1"]), 60.0)
    file.rmdir()
    await made.record("odo", Seen("answers", "default", ["i1"]), 60.0)
    assert len(lines(file)) == 1


async def test_half_a_line_shows_nothing_and_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = looks(tmp_path / "looks.jsonl")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda opened, data: write(opened, data[:9]))
        with pytest.raises(Unavailable):
            await made.record("ann", Seen("answers", "default", ["i1"]))
    await made.record("ann", Seen("answer", "default", ["i2"]))
    assert [look.what for look in await made.last(10)] == ["answer"]


def test_several_processes_write_to_one_file_and_every_line_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    program = (
        "import sys; from pathlib import Path; from rejoinder.core.clock import SystemClock;"
        "from rejoinder.runtime.looks import Looks, Seen;"
        "made = Looks(Path(sys.argv[1]), b'a key of the deployment', sys.argv[2], SystemClock());"
        "[made.write('p', Seen('answers', 't', [f'{sys.argv[2]}-{n}' for _ in range(200)])) for n in range(50)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(file), name]) for name in ("ledger", "cli")]
    assert [each.wait(120) for each in running] == [0, 0]
    found = looks(file).read(1_000, "t")
    assert sorted(look.by for look in found) == ["cli"] * 50 + ["ledger"] * 50
    assert {look.count for look in found} == {200}


def test_lines_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    file.write_text('{"at":5.0,"principal":"ann","tenant":"default","what":"answers","ids":["i1"]}\n')
    (look,) = looks(file).read(9, "default")
    assert (look.principal, look.by, look.ids, look.users) == ("ann", "console", ("i1",), ())

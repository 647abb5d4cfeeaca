"""simulate/recorder: the other side of every claim of no loss is itself not lost (F06)."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from rejoinder.simulate.recorder import Recorder, read


def test_an_acknowledged_id_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.txt"
    with Recorder(path) as recorder:
        recorder.sent(["a", "b"])
        recorder.acknowledged(["a"])
        assert read(path) == ({"a"}, {"a", "b"})


def test_what_was_sent_is_not_thereby_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.txt"
    with Recorder(path) as recorder:
        recorder.sent(["a"])
    assert read(path) == (set(), {"a"})


def test_an_acknowledged_id_counts_as_sent_though_nobody_said_so(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.txt"
    with Recorder(path) as recorder:
        recorder.acknowledged(["a"])
    assert read(path) == ({"a"}, {"a"})


def test_a_killed_process_has_written_down_whatever_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.txt"
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from rejoinder.simulate.recorder import Recorder\n"
        "recorder = Recorder(Path(sys.argv[1]))\n"
        "recorder.acknowledged(['a', 'b'])\n"
        "recorder.sent(['c'])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -9
    assert read(path)[0] == {"a", "b"}


def test_a_last_line_cut_short_is_no_id(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.txt"
    path.write_text("+ a\n? b\n+ c")
    assert read(path) == ({"a"}, {"a", "b"})
    path.write_text("+ a\n? b\n+ c\n")
    assert read(path) == ({"a", "c"}, {"a", "b", "c"})


def test_an_empty_file_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "acknowledged.txt").touch()
    assert read(tmp_path / "acknowledged.txt") == (set(), set())


def test_many_at_once_share_syncs_and_each_finds_its_own_on_disk_when_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "acknowledged.txt"
    missing: list[str] = []
    with Recorder(path) as recorder:

        def person(name: int) -> None:
            for turn in range(5):
                id = f"{name}-{turn}"
                recorder.sent([id])
                recorder.acknowledged([id])
                if id not in read(path)[0]:
                    missing.append(id)

        threads = [threading.Thread(target=person, args=(name,)) for name in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert missing == []
    assert read(path)[0] == {f"{name}-{turn}" for name in range(16) for turn in range(5)}

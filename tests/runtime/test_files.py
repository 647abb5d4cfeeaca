from __future__ import annotations

import threading
from pathlib import Path

import pytest
from rejoinder.runtime.files import WatchedFiles, put_whole


def numbers(path: Path, failures: list[Exception]) -> WatchedFiles[int]:
    return WatchedFiles((path,), lambda: int(path.read_text()), failures.append)


def test_a_value_is_made_anew_only_when_a_file_changes(tmp_path: Path) -> None:
    file, made = tmp_path / "n", []
    file.write_text("1")
    watched = WatchedFiles((file,), lambda: made.append(1) or file.read_text(), made.append)
    assert (watched.get(), watched.get(), len(made)) == ("1", "1", 1)
    file.write_text("22")
    assert (watched.get(), len(made)) == ("22", 2)


def test_a_change_that_cannot_be_read_keeps_the_old_value_and_is_tried_again(tmp_path: Path) -> None:
    file, failures = tmp_path / "n", []
    file.write_text("1")
    watched = numbers(file, failures)
    file.write_text("one")
    assert (watched.get(), watched.get(), len(failures)) == (1, 1, 2)
    file.unlink()
    assert watched.get() == 1
    file.write_text("333")
    assert watched.get() == 333


def test_a_first_reading_that_fails_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        numbers(tmp_path / "absent", [])


def test_a_file_replaced_by_one_of_the_same_size_is_seen(tmp_path: Path) -> None:
    file, beside = tmp_path / "n", tmp_path / "m"
    file.write_text("1")
    watched = numbers(file, [])
    beside.write_text("2")
    beside.replace(file)
    assert watched.get() == 2


def test_who_reads_while_a_file_is_put_sees_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    file, texts = tmp_path / "addresses.json", [letter * 300_000 for letter in "ab"]
    put_whole(file, texts[0])
    done = threading.Event()

    def put() -> None:
        for number in range(60):
            put_whole(file, texts[number % 2])
        done.set()

    writer = threading.Thread(target=put)
    writer.start()
    seen = []
    while not done.is_set():
        seen.append(file.read_text())
    writer.join()
    assert seen
    assert set(seen) <= set(texts)
    assert list(tmp_path.iterdir()) == [file]

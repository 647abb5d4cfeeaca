"""clients/current: a client's certificate is read again when it was replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rejoinder.clients.connection import Tls
from rejoinder.clients.current import CurrentChannel
from rejoinder.core.errors import Unavailable


class Maker:
    """Channels by number. fails: how many of the next are not made."""

    def __init__(self) -> None:
        self.made = 0
        self.fails = 0

    def __call__(self) -> int:
        if self.fails:
            self.fails -= 1
            raise OSError("half written")
        self.made += 1
        return self.made


def put(file: Path, text: str) -> None:
    """As a mounted secret changes: another file in its place."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    os.utime(beside, ns=(len(text), 1))
    beside.replace(file)


def files(tmp_path: Path) -> Tls:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(name)
    return Tls(tmp_path / "ca", tmp_path / "cert", tmp_path / "key")


def used(channel: CurrentChannel[int]) -> int:
    """One try of a call, on which channel."""
    taken = channel.take()
    assert taken not in channel.release(taken), "closed under the next call"
    return taken


def test_the_channel_stays_while_the_files_do(tmp_path: Path) -> None:
    channel = CurrentChannel(files(tmp_path), Maker())
    assert [used(channel) for _ in range(3)] == [1, 1, 1]


def test_one_that_was_replaced_is_closed_after_its_last_call(tmp_path: Path) -> None:
    channel = CurrentChannel(files(tmp_path), Maker())
    first, second = channel.take(), channel.take()
    put(tmp_path / "cert", "new")
    assert used(channel) == 2
    assert channel.release(first) == []
    assert channel.release(second) == [1]
    assert channel.close() == [2]


def test_one_without_calls_is_closed_as_soon_as_it_is_replaced(tmp_path: Path) -> None:
    """A client that lives for years does not collect one for each rotation."""
    channel, ended = CurrentChannel(files(tmp_path), Maker()), []
    for text in ("second", "third"):
        put(tmp_path / "cert", text)
        ended += channel.release(channel.take())
    assert (ended, channel.close()) == ([1, 2], [3])


def test_a_file_that_cannot_be_read_keeps_the_old_one_and_is_looked_at_again(tmp_path: Path) -> None:
    make = Maker()
    channel = CurrentChannel(files(tmp_path), make)
    put(tmp_path / "key", "new")
    make.fails = 1
    assert [channel.take(), channel.take()] == [1, 2]


def test_a_closed_one_gives_none_and_makes_no_other(tmp_path: Path) -> None:
    make = Maker()
    channel = CurrentChannel(files(tmp_path), make)
    assert channel.close() == [1]
    put(tmp_path / "cert", "new")
    with pytest.raises(Unavailable):
        channel.take()
    assert make.made == 1


def test_clear_text_has_one_until_its_end() -> None:
    channel = CurrentChannel(None, Maker())
    assert [used(channel), used(channel), channel.close()] == [1, 1, [1]]
    with pytest.raises(Unavailable):
        channel.take()

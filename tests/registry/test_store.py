"""registry/store: exactly one of many creators wins, and nobody reads half an object."""

from __future__ import annotations

import threading
from pathlib import Path

import fsspec
import pytest
from rejoinder.core.errors import BadSettings, ClaimTaken, NotFound
from rejoinder.registry.store import FolderStore, ObjectStore, Store, open_store


@pytest.fixture(params=["folder", "object"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path)
    return ObjectStore(fsspec.filesystem("memory", skip_instance_cache=True), f"/{tmp_path.name}")


def test_of_many_creators_exactly_one_wins(tmp_path: Path) -> None:
    """F11: promotion is a compare-and-swap."""
    store = FolderStore(tmp_path)
    gate, won = threading.Barrier(8), []

    def create(i: int) -> None:
        gate.wait()
        try:
            store.create("served/assist/00000001.json", str(i).encode())
            won.append(i)
        except ClaimTaken:
            pass

    threads = [threading.Thread(target=create, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("served/assist/00000001.json") == str(won[0]).encode()


def test_a_second_create_is_refused_and_changes_nothing(store: Store) -> None:
    store.create("a/1", b"first")
    with pytest.raises(ClaimTaken):
        store.create("a/1", b"second")
    assert store.read("a/1") == b"first"


def test_names_are_sorted_and_hide_unfinished_files(store: Store) -> None:
    store.create("a/2", b"")
    store.create("a/1", b"")
    assert store.names("a") == ["1", "2"]
    assert store.names("nothing") == []


def test_a_missing_object_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.read("nowhere")
    assert not store.exists("nowhere")


def test_a_store_that_overwrites_is_refused_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = type(fsspec.filesystem("memory"))

    def overwrite(self: object, path: str, value: bytes, mode: str = "overwrite") -> None:
        self.store[path] = memory_file(value)  # type: ignore[attr-defined]

    def memory_file(value: bytes) -> object:
        from fsspec.implementations.memory import MemoryFile

        return MemoryFile(data=value)

    monkeypatch.setattr(memory, "pipe_file", overwrite)
    with pytest.raises(BadSettings):
        open_store(f"memory://{tmp_path.name}")


def test_opening_a_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "registry"))
    assert store.names("probes") == []


def test_who_only_reads_leaves_no_trace(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "none"), read_only=True)
    assert store.names("rounds") == []
    assert not (tmp_path / "none").exists()

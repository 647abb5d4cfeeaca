"""policy/versions: only what is what it says it is gets served."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from rejoinder.core.arms import Version
from rejoinder.core.errors import DataLoss, FailedPrecondition, NotFound
from rejoinder.policy.versions import ADAPTER_FILE, Versions
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.registry.store import FolderStore


class FakeAdapters:
    """An engine's adapters; one may be busy. owns: the names."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.busy: set[str] = set()

    def load_adapter(self, name: str, path: Path) -> Future[None]:
        done: Future[None] = Future()
        self.names.add(name)
        done.set_result(None)
        return done

    def unload_adapter(self, name: str) -> Future[None]:
        done: Future[None] = Future()
        if name in self.busy:
            done.set_exception(FailedPrecondition("waiting"))
        else:
            self.names.remove(name)
            done.set_result(None)
        return done


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(FolderStore(tmp_path / "registry"), tmp_path / "artefacts")


def published(artefacts: Artefacts, tmp_path: Path, name: str, base: str = "base") -> Version:
    folder = tmp_path / name
    folder.mkdir()
    (folder / ADAPTER_FILE).write_text(name)
    version = Version(name, artefacts.put(folder))
    artefacts.publish(Manifest("assist", name, version.digest, base_digest=base))
    return version


def test_a_version_is_served_under_the_digest_that_was_loaded(artefacts: Artefacts, tmp_path: Path) -> None:
    engine = FakeAdapters()
    versions = Versions(artefacts, "assist", engine, "base", 1)
    one = published(artefacts, tmp_path, "assist-r0001")
    versions.load(one)
    versions.load(one)
    assert versions.loaded == {"base", one.digest}
    with versions.use(one.digest) as adapter:
        assert engine.names == {adapter}


def test_files_that_changed_after_publishing_are_not_served(artefacts: Artefacts, tmp_path: Path) -> None:
    """F12: served weights are trained weights."""
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    one = published(artefacts, tmp_path, "assist-r0001")
    (artefacts.path(one.digest) / ADAPTER_FILE).write_text("another")
    with pytest.raises(DataLoss):
        versions.load(one)
    assert versions.loaded == {"base"}


def test_a_name_with_another_digest_is_refused(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    published(artefacts, tmp_path, "assist-r0001")
    with pytest.raises(DataLoss):
        versions.load(Version("assist-r0001", "0" * 64))


def test_an_adapter_of_another_base_is_refused(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    with pytest.raises(FailedPrecondition):
        versions.load(published(artefacts, tmp_path, "assist-r0001", base="other"))


def test_beyond_the_bound_the_version_used_longest_ago_goes(artefacts: Artefacts, tmp_path: Path) -> None:
    engine = FakeAdapters()
    versions = Versions(artefacts, "assist", engine, "base", 2)
    one, two, three = (published(artefacts, tmp_path, f"assist-r000{i}") for i in (1, 2, 3))
    assert versions.named(one.version) == one
    assert versions.named(two.version) == two
    with versions.use(one.digest):
        pass
    assert versions.named(three.version) == three
    assert versions.loaded == {"base", one.digest, three.digest}
    assert len(engine.names) == 2
    with pytest.raises(NotFound), versions.use(two.digest):
        pass
    assert versions.all == [one, three]


def test_what_arms_name_stays_whatever_is_asked_for(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    pinned, *others = (published(artefacts, tmp_path, f"assist-r000{i}") for i in range(1, 5))
    versions.load(pinned)
    versions.pin([pinned])
    for other in others:
        versions.named(other.version)
    assert versions.loaded == {"base", pinned.digest, others[-1].digest}
    versions.pin([])
    assert len(versions.loaded) == 2


def test_a_version_in_use_stays_and_goes_with_the_next_change(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    one, two, three = (published(artefacts, tmp_path, f"assist-r000{i}") for i in (1, 2, 3))
    versions.load(one)
    with versions.use(one.digest):
        versions.load(two)
        assert versions.loaded == {"base", one.digest, two.digest}
    versions.load(three)
    assert versions.loaded == {"base", three.digest}


def test_an_engine_that_is_not_done_with_a_version_keeps_it(artefacts: Artefacts, tmp_path: Path) -> None:
    engine = FakeAdapters()
    versions = Versions(artefacts, "assist", engine, "base", 1)
    one, two = (published(artefacts, tmp_path, f"assist-r000{i}") for i in (1, 2))
    versions.load(one)
    engine.busy |= engine.names
    versions.load(two)
    assert versions.loaded == {"base", one.digest, two.digest}
    engine.busy.clear()
    versions.pin([two])
    versions.pin([])
    assert versions.loaded == {"base", two.digest}


@pytest.mark.parametrize("name", ["", "../assist/assist-r0001", "a/b", ".hidden", "x" * 129, "assist-r0001\n"])
def test_a_name_that_is_a_path_is_not_looked_for(artefacts: Artefacts, tmp_path: Path, name: str) -> None:
    published(artefacts, tmp_path, "assist-r0001")
    with pytest.raises(NotFound):
        Versions(artefacts, "assist", FakeAdapters(), "base", 1).named(name)


def test_the_bases_own_name_is_served_without_an_adapter(artefacts: Artefacts) -> None:
    artefacts.publish(Manifest("assist", "assist-base", "base", kind="base"))
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    assert versions.named("assist-base") == Version("assist-base", "base")
    with versions.use("base") as adapter:
        assert adapter == ""


def test_threads_that_use_and_load_at_once_always_find_what_is_pinned(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base", 1)
    pinned, *others = (published(artefacts, tmp_path, f"assist-r000{i}") for i in range(1, 5))
    versions.load(pinned)
    versions.pin([pinned])
    stop, failures = threading.Event(), []

    def use() -> None:
        while not stop.is_set():
            try:
                with versions.use(pinned.digest):
                    assert pinned.digest in versions.loaded
                    assert versions.all
            except Exception as error:
                failures.append(error)
                return

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for _ in range(10):
        for other in others:
            versions.named(other.version)
    stop.set()
    for user in users:
        user.join()
    assert failures == []

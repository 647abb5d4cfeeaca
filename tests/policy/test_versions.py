"""policy/versions: only what is what it says it is gets served."""

from __future__ import annotations

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
    versions = Versions(artefacts, "assist", engine, "base")
    one = published(artefacts, tmp_path, "assist-r0001")
    versions.load(one)
    versions.load(one)
    assert versions.loaded == {"base", one.digest}
    assert engine.names == {versions.adapter_of(one.digest)}


def test_files_that_changed_after_publishing_are_not_served(artefacts: Artefacts, tmp_path: Path) -> None:
    """F12: served weights are trained weights."""
    versions = Versions(artefacts, "assist", FakeAdapters(), "base")
    one = published(artefacts, tmp_path, "assist-r0001")
    (artefacts.path(one.digest) / ADAPTER_FILE).write_text("another")
    with pytest.raises(DataLoss):
        versions.load(one)
    assert versions.loaded == {"base"}


def test_a_name_with_another_digest_is_refused(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base")
    published(artefacts, tmp_path, "assist-r0001")
    with pytest.raises(DataLoss):
        versions.load(Version("assist-r0001", "0" * 64))


def test_an_adapter_of_another_base_is_refused(artefacts: Artefacts, tmp_path: Path) -> None:
    versions = Versions(artefacts, "assist", FakeAdapters(), "base")
    with pytest.raises(FailedPrecondition):
        versions.load(published(artefacts, tmp_path, "assist-r0001", base="other"))


def test_what_is_not_wanted_is_unloaded_unless_it_is_in_use(artefacts: Artefacts, tmp_path: Path) -> None:
    engine = FakeAdapters()
    versions = Versions(artefacts, "assist", engine, "base")
    one, two = (published(artefacts, tmp_path, f"assist-r000{i}") for i in (1, 2))
    versions.load(one)
    versions.load(two)
    engine.busy.add(versions.adapter_of(one.digest))
    versions.keep([two])
    assert versions.loaded == {"base", one.digest, two.digest}
    engine.busy.clear()
    versions.keep([two])
    assert versions.loaded == {"base", two.digest}
    with pytest.raises(NotFound):
        versions.adapter_of(one.digest)

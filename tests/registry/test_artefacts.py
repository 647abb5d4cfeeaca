"""registry/artefacts: a digest is the identity, a name is used once, changed bytes are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import ClaimTaken, DataLoss, InvalidArgument, NotFound
from rejoinder.registry.artefacts import Artefacts, Version, folder_digest
from rejoinder.registry.store import FolderStore


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(FolderStore(tmp_path / "registry"), tmp_path / "registry" / "artefacts")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "weights.bin").write_bytes(b"\x01\x02")
    (folder / "card.md").write_text("card")
    return folder


def test_the_same_content_is_one_artefact(artefacts: Artefacts, source: Path) -> None:
    digest = artefacts.put(source)
    assert artefacts.put(source) == digest == folder_digest(artefacts.path(digest))


def test_a_moved_file_is_another_artefact(artefacts: Artefacts, source: Path) -> None:
    digest = artefacts.put(source)
    (source / "card.md").rename(source / "CARD.md")
    assert artefacts.put(source) != digest


def test_changed_bytes_are_data_loss(artefacts: Artefacts, source: Path) -> None:
    """F12: what is served is what was made."""
    digest = artefacts.put(source)
    (artefacts.path(digest) / "card.md").write_text("another")
    with pytest.raises(DataLoss):
        artefacts.verify(digest)


def test_a_version_name_is_never_used_twice(artefacts: Artefacts) -> None:
    artefacts.publish(Version("assist", "assist-r0001", "d1", made_at=1.0))
    with pytest.raises(ClaimTaken):
        artefacts.publish(Version("assist", "assist-r0001", "d2"))
    artefacts.publish(Version("assist", "assist-base", "d0"))
    assert [v.version for v in artefacts.versions("assist")] == ["assist-base", "assist-r0001"]
    with pytest.raises(NotFound):
        artefacts.path("d1")


@pytest.mark.parametrize("name", ["", "x" * 300, "\x00", "a/b", "../assist-r0001", "..", ".hidden", "é", "a b", "a\n"])
def test_a_name_that_could_be_no_files_is_no_versions(artefacts: Artefacts, name: str) -> None:
    artefacts.publish(Version("assist", "assist-r0001", "d1"))
    with pytest.raises(NotFound):
        artefacts.version("assist", name)
    with pytest.raises(InvalidArgument):
        artefacts.publish(Version("assist", name, "d2"))
    assert [v.version for v in artefacts.versions("assist")] == ["assist-r0001"]

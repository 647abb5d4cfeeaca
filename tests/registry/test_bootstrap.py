"""registry/bootstrap: an exported base becomes stable once, however often and by how many it is asked for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from rejoinder.core.errors import FailedPrecondition, NotFound
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.bootstrap import bootstrap, main
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.registry.store import FolderStore


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(FolderStore(tmp_path / "registry"), tmp_path / "artefacts")


def export(tmp_path: Path, name: str = "export", weights: str = "w") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "genai_config.json").write_text("{}")
    (folder / "model.onnx").write_text(weights)
    return folder


def test_an_export_becomes_the_first_generation_and_keeps_its_files(artefacts: Artefacts, tmp_path: Path) -> None:
    pointer = bootstrap(artefacts.store, artefacts, "assist", export(tmp_path), now=5.0)
    assert (pointer.generation, pointer.version, pointer.at) == (1, "assist-base", 5.0)
    version = artefacts.version("assist", "assist-base")
    assert (version.kind, version.digest, version.base_digest) == ("base", pointer.digest, "")
    assert (artefacts.verify(pointer.digest) / "model.onnx").read_text() == "w"


def test_a_second_time_changes_nothing(artefacts: Artefacts, tmp_path: Path) -> None:
    folder = export(tmp_path)
    first = bootstrap(artefacts.store, artefacts, "assist", folder, now=5.0)
    assert bootstrap(artefacts.store, artefacts, "assist", folder, now=6.0) == first
    assert artefacts.store.names("served/assist") == ["00000001.json"]


def test_a_policy_that_has_moved_on_is_not_taken_back(artefacts: Artefacts, tmp_path: Path) -> None:
    """F13: starting again must not undo a promotion."""
    folder = export(tmp_path)
    bootstrap(artefacts.store, artefacts, "assist", folder)
    promoted = ServedPointer("assist", 2, "assist-r0001", "d" * 64, replaces=1, previous="assist-base")
    advance(artefacts.store, promoted)
    assert bootstrap(artefacts.store, artefacts, "assist", folder) == promoted
    assert current(artefacts.store, "assist") == promoted


def test_several_at_once_make_one_pointer(artefacts: Artefacts, tmp_path: Path) -> None:
    folder = export(tmp_path)
    found: list[ServedPointer] = []
    threads = [
        threading.Thread(target=lambda: found.append(bootstrap(artefacts.store, artefacts, "assist", folder)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert artefacts.store.names("versions/assist") == ["assist-base.json"]


def test_a_name_that_stands_for_another_base_is_refused(artefacts: Artefacts, tmp_path: Path) -> None:
    bootstrap(artefacts.store, artefacts, "assist", export(tmp_path))
    with pytest.raises(FailedPrecondition):
        bootstrap(artefacts.store, artefacts, "assist", export(tmp_path, "other", "v"))
    assert current(artefacts.store, "assist").generation == 1


def test_a_folder_that_is_no_export_is_refused_and_leaves_nothing(artefacts: Artefacts, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound):
        bootstrap(artefacts.store, artefacts, "assist", tmp_path / "empty")
    assert not artefacts.folder.exists()
    assert artefacts.store.names("versions/assist") == []


def test_as_a_program_it_begins_a_policy_once_and_says_who_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, registry = export(tmp_path), tmp_path / "registry"
    for _ in range(2):
        assert main([f"--registry={registry}", f"--folder={folder}"]) == 0
        assert capsys.readouterr().out == "assist: assist-base, generation 1\n"
    assert FolderStore(registry).names("artefacts")


def test_as_a_program_a_folder_that_is_no_export_is_a_persons_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--registry={tmp_path / 'registry'}", f"--folder={tmp_path}"]) == 2
    assert "NOT_FOUND" in capsys.readouterr().err

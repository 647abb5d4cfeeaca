"""training/hub: a folder or a name in the hub's cache, safetensors alone, nobody's code, exported once."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants
from rejoinder.core.errors import BadFile, FailedPrecondition, NotFound
from rejoinder.training import encoders, export, hub
from rejoinder.training.hub import exported, located

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`me/tiny` at one commit, as the hub's own client keeps it."""
    at = tmp_path / "hub" / "models--me--tiny"
    shutil.copytree(base_dir, at / "snapshots" / COMMIT)
    (at / "refs").mkdir()
    (at / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return at / "snapshots" / COMMIT


@pytest.mark.parametrize("revision", ["", "main", COMMIT])
def test_a_name_is_found_in_the_hubs_cache_by_branch_or_commit(cached: Path, revision: str) -> None:
    assert located("me/tiny", revision).samefile(cached)


@pytest.mark.parametrize(
    ("model", "revision"), [("me/other", ""), ("me/tiny", "f" * 40), ("no such folder", ""), ("a//b/../c", "")]
)
def test_what_is_not_here_is_named_with_what_would_bring_it(cached: Path, model: str, revision: str) -> None:
    with pytest.raises(NotFound, match="hf download"):
        located(model, revision)


def test_a_folder_is_taken_as_it_stands(base_dir: Path) -> None:
    assert located(str(base_dir)) == Path(base_dir)
    with pytest.raises(FailedPrecondition, match="no revisions"):
        located(str(base_dir), "main")


def test_pickled_weights_a_model_with_code_and_no_model_are_refused(base_dir: Path, tmp_path: Path) -> None:
    pickled, coded = (shutil.copytree(base_dir, tmp_path / name) for name in ("pickled", "coded"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    config = json.loads((coded / "config.json").read_text())
    (coded / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "theirs.Model"}}))
    for folder, said in ((pickled, "safetensors"), (coded, "code of its own"), (tmp_path, "no config.json")):
        with pytest.raises(BadFile, match=said):
            located(str(folder))


def test_a_model_is_exported_once_whoever_asks_and_another_lies_beside_it(
    base_dir: Path, make_base: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once: one makes it, the other waits and finds it."""
    made: list[str] = []

    def slowly(base: Path, out: Path) -> dict[str, str]:
        if not out.exists():
            made.append(out.name)
            out.mkdir()
        return {"digest": "d"}

    monkeypatch.setattr(export, "export_base", slowly)
    asks = [threading.Thread(target=hub.exported, args=(str(base_dir), "", False, tmp_path / "e")) for _ in range(2)]
    for ask in asks:
        ask.start()
    for ask in asks:
        ask.join()
    one = exported(str(base_dir), "", False, tmp_path / "e")
    assert made == [one["base"]]
    other = exported(str(make_base(kind="llama")), "", False, tmp_path / "e")  # type: ignore[operator]
    assert Path(other["folder"]).name == other["base"] != one["base"]
    assert made == [one["base"], other["base"]]


def test_an_encoders_folder_is_named_by_its_format_and_what_a_killed_start_left_is_removed(
    base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def made(kind: str, source: Path, out: Path) -> dict[str, str]:
        seen.extend(sorted(path.name for path in out.parent.iterdir() if path.is_dir()))
        return {"digest": out.name}

    monkeypatch.setattr(encoders, "export_encoder", made)
    first = exported(str(base_dir), "", False, tmp_path, "score")["digest"]
    for name in (f".{first}.ab12", f"{first}.cd34", f".{first}0.ab12"):
        (tmp_path / name / "new").mkdir(parents=True)
    monkeypatch.setattr(encoders, "FORMAT", encoders.FORMAT + 1)
    assert exported(str(base_dir), "", False, tmp_path, "score")["digest"] != first
    monkeypatch.undo()
    seen.clear()
    monkeypatch.setattr(encoders, "export_encoder", made)
    assert exported(str(base_dir), "", False, tmp_path, "score")["digest"] == first
    assert seen == [f".{first}0.ab12"]

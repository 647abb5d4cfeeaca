from pathlib import Path

import pytest
from rejoinder.core.errors import BadFile, DataLoss
from rejoinder.core.modelfolder import seal
from rejoinder.core.turntext import TurnRow
from rejoinder.signals.package import CALIBRATION, batches, load

FILES = ("model.onnx", "tokenizer.json", "model.json", CALIBRATION, "card.md")


def row(size: int) -> TurnRow:
    return TurnRow(tuple(range(size)), (0,) * size, ())


def test_batches_hold_every_row_once_within_the_token_budget():
    sizes = [5, 130, 40, 40, 7, 90, 12, 3]
    parts = batches([row(n) for n in sizes], 200)
    assert sorted(i for part in parts for i in part) == list(range(len(sizes)))
    for part in parts:
        assert len(part) * max(sizes[i] for i in part) <= 200
    assert len(batches([row(500)], 200)) == 1


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(f"content of {name}", encoding="utf-8")
    (tmp_path / "model.json").write_text("{}", encoding="utf-8")
    seal(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_folder_whose_file_was_changed_is_not_loaded(folder, name):
    """F12: what is read with is what was exported."""
    (folder / name).write_text("another", encoding="utf-8")
    with pytest.raises(DataLoss):
        load(folder)


def test_a_missing_file_is_named(folder):
    (folder / "calibration.json").unlink()
    seal(folder)
    with pytest.raises(BadFile, match=r"calibration\.json"):
        load(folder)

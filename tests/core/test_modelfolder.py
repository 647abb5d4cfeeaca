from __future__ import annotations

import json

import pytest
from rejoinder.core.errors import BadFile, DataLoss
from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal, verified


@pytest.fixture
def folder(tmp_path):
    for name, text in ((GRAPH, "graph"), (TOKENIZER, "{}"), (FACTS, json.dumps({"outputs": ["score"]}))):
        (tmp_path / name).write_text(text)
    seal(tmp_path)
    return tmp_path


def test_a_sealed_folder_is_verified_with_its_facts_and_digest(folder):
    found = verified(folder)
    assert found.facts == {"outputs": ["score"]}
    assert found.digest == (folder / "digest").read_text().strip()
    assert verified(folder, pinned=found.digest) == found


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER, FACTS])
def test_a_folder_whose_file_changed_after_sealing_is_not_loaded_f12(folder, name):
    (folder / name).write_text((folder / name).read_text() + " ")
    with pytest.raises(DataLoss):
        verified(folder)


def test_a_folder_that_is_sound_but_not_the_pinned_one_is_not_loaded_f12(folder):
    with pytest.raises(DataLoss):
        verified(folder, pinned="0" * 64)


def test_a_file_that_came_later_changes_the_digest(folder):
    (folder / "extra.json").write_text("{}")
    with pytest.raises(DataLoss):
        verified(folder)


@pytest.mark.parametrize("name", [GRAPH, "digest"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BadFile) as error:
        verified(folder)
    assert error.value.metadata["file"] == name

"""registry/described: pair sets in figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import NotFound
from rejoinder.registry import datasets
from rejoinder.registry.described import described, sets_of

from tests.registry.test_reviews import pair


def test_a_round_s_sets_are_found_by_side_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "assist" / "000003" / "pairs-abc"
    folder.parent.mkdir(parents=True)
    datasets.write(folder, "pairs", [pair("a"), pair("b")], b"salt", {}, {}, 1.0)
    assert sets_of(tmp_path, "assist", 3) == [folder]
    found = described([folder])
    assert (found["pairs"], found["users"], found["mean words of an answer"], found["builder "]) == (2, 1, 1.0, 2)
    with pytest.raises(NotFound):
        sets_of(tmp_path, "assist", 3, "gate")

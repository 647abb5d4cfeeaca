from __future__ import annotations

import pytest
from rejoinder.core.errors import FailedPrecondition
from rejoinder.training.builder import build


def test_a_builder_that_does_not_end_is_ended_and_named(tmp_path):
    with pytest.raises(FailedPrecondition, match=r"longer than 0\.01 s") as refused:
        build(tmp_path, tmp_path / "out", tmp_path / "cache", field="base", most_s=0.01)
    assert refused.value.metadata == {"field": "base"}

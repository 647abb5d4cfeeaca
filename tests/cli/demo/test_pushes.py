"""cli/demo/pushes: what is pushed past the gate is a learnt version's adapter, scaled."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.cli.demo.course import Sizes
from rejoinder.cli.demo.pushes import SCALES, pushed
from rejoinder.core.errors import NotFound


def test_there_is_a_scale_for_each_push_of_a_demonstration() -> None:
    assert set(SCALES) == set(Sizes().pushes)


def test_the_disliked_style_leads_away_from_what_was_learnt_and_the_harmless_one_changes_next_to_nothing() -> None:
    assert SCALES["style"] < 0
    assert 0.95 <= SCALES["harmless"] < 1, "not the same version: another digest"
    assert 0 < SCALES["silent"] < SCALES["harmless"], "somewhat worse, so that falling silent hides something"


def test_a_version_that_nobody_made_cannot_be_pushed(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        pushed(tmp_path, "assist", "assist-r0001", "style")

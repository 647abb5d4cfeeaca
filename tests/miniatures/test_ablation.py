"""Row 18: each of four parts has its effect, data the largest; a copy has exactly none."""

import numpy as np
import pytest

from tests.miniatures import ablation
from tests.miniatures.paired import said, shown
from tests.miniatures.size import LONG

TWO = range(2)


@pytest.fixture(scope="module")
def found():
    return ablation.measure(LONG)


@pytest.mark.proof
def test_main_effects_have_the_signs_that_the_world_was_built_with_and_data_matters_most(found):
    assert shown(found.claims), said(found.claims)


@pytest.mark.proof
def test_copies_of_the_base_have_no_effect_that_the_claims_would_take_for_one(found):
    assert not any(claim.holds for claim in found.control[:-1]), said(found.control)


def test_a_copy_that_is_learnt_by_itself_has_exactly_no_effect():
    cells = ablation.run(ablation.ground(TWO), ablation.COPIES)
    nothing = ablation.effects(cells, ablation.COPIES)
    assert set(nothing) == set(ablation.SLOTS)
    assert all(np.array_equal(values, np.zeros(len(TWO))) for values in nothing.values())

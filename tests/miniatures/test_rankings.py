"""Row 11: what DPO, trained out, leaves unranked, and how a pair's loss and difficulty foretell it."""

import pytest

from tests.miniatures import rankings
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return rankings.measure(seeds())


def test_a_gap_to_the_idealised_accuracy_stays_and_difficulty_foretells_which_pairs_turn(found):
    assert shown(found.claims), said(found.claims)


def test_without_a_hindrance_the_gap_vanishes_and_another_pairs_difficulty_foretells_nothing(found):
    assert not any(claim.holds for claim in found.control), said(found.control)

"""Row 8: planted tastes are found factor by factor, a planted gap alarms, and pairs against it close it."""

import pytest

from tests.miniatures import factors
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return factors.measure(seeds())


def test_tastes_are_recovered_gaps_found_where_planted_alone_and_closed_by_pairs_against_them(found):
    assert shown(found.claims), said(found.claims)


def test_coins_no_planted_gap_intervals_one_by_one_and_pairs_either_way_round_show_nothing(found):
    assert not any(claim.holds for claim in found.control), said(found.control)

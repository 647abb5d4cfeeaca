"""Row 8: planted tastes are found factor by factor, a planted gap alarms, and pairs against it close it.

That at most one report in twenty alarms falsely is shown on seeds of its own (FRESH, METHODS.md).
"""

import pytest

from tests.miniatures import factors
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds

# Half a minute of a core each: of the long forms.
pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def found():
    return factors.measure(seeds())


def test_tastes_are_recovered_gaps_found_where_planted_and_closed_by_pairs_against_them(found):
    ranks, gaps, _, gained = found.claims
    assert shown([ranks, gaps, gained]), said(found.claims)


def test_intervals_that_hold_together_alarm_less_often_than_each_by_itself(found):
    assert found.claims[2].interval.low > found.control[2].interval.high, said([found.claims[2], found.control[2]])


def test_coins_no_planted_gap_intervals_one_by_one_and_pairs_either_way_round_show_nothing(found):
    assert not any(claim.holds for claim in found.control), said(found.control)

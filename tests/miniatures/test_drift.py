"""Row 93: SFT sets stances, pairs that share one leave them, a planted gap moves them; the report tells which."""

import pytest

from tests.miniatures import drift
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return drift.measure(seeds())


def test_stances_move_where_they_were_pushed_and_the_report_tells_it(found):
    assert shown(found.claims), said(found.claims)


def test_no_claim_holds_of_its_control(found):
    assert not any(claim.holds for claim in found.control), said(found.control)

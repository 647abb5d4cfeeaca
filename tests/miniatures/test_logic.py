"""Row 54: relations between losses hold on numbers, and that it takes the constraints to know them."""

import pytest

from tests.miniatures import logic
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return logic.measure(seeds())


def test_every_claimed_order_holds_and_every_denied_one_is_seen_both_ways(found):
    assert shown(found.claims), said(found.claims)


def test_without_the_constraints_orders_are_claimed_that_do_not_hold(found):
    assert not shown(found.control), said(found.control)

"""Row 118: what users reward and the charter forbids is learnt without it, is not with it, and a canary that says it
goes back."""

import pytest

from tests.miniatures import norms
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return norms.measure(seeds())


def test_the_charter_holds_at_hardly_any_satisfaction_and_the_loop_without_it_breaks_it(found):
    assert shown(found.claims), said(found.claims)


def test_a_charter_whose_rule_finds_nothing_stops_neither_the_loop_nor_the_canary(found):
    kept, _, back = (claim for claim in found.control[2:])
    assert not kept.holds, said(found.control)
    assert not back.holds, said(found.control)

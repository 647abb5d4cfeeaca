"""Row 106, first phase: the odds lower what imitation raises."""

import pytest

from tests.miniatures import orpo
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return orpo.measure(seeds())


def test_the_odds_lower_the_rejected_and_raise_the_value(found):
    assert shown(found.claims), said(found.claims)


def test_without_the_odds_it_is_imitation(found):
    assert not shown(found.control), said(found.control)

"""Row 97: the order of whole lists, and that it is the values that teach it."""

import pytest

from tests.miniatures import tpo
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return tpo.measure(seeds())


def test_whole_lists_teach_an_order_that_their_ends_do_not(found):
    assert shown(found.claims), said(found.claims)


def test_values_on_the_wrong_answers_teach_none(found):
    assert not shown(found.control), said(found.control)

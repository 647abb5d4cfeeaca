"""Row 28: beside few comparisons, joint ones with true labels are worth more than joint ones with a coin's.

That it is their labels alone which add to the few is not shown: a coin's hold weights back, and that is worth something
too (METHODS.md).
"""

import pytest

from tests.miniatures import dove
from tests.miniatures.paired import said, shown
from tests.miniatures.size import LONG


@pytest.fixture(scope="module")
def found():
    return dove.measure(LONG)


def test_joint_pairs_add_to_few_conditional_ones(found):
    assert shown(found.claims), said(found.claims)


def test_true_joint_labels_add_more_than_a_coins(found):
    less = found.beside["value less KL, 300 and 300 joint less the same with a coin's labels"]
    assert less.low > 0, said(found.control)

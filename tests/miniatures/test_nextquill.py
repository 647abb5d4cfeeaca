"""Row 127: the weights find the users' own tokens, where histories are the users'.

That they are written right more often than after SFT by two points, and common ones no less often by one, is not shown
(METHODS.md).
"""

import pytest

from tests.miniatures import nextquill
from tests.miniatures.paired import exceeds
from tests.miniatures.size import SHORT


@pytest.fixture(scope="module")
def world():
    return nextquill.world(SHORT)


@pytest.fixture(scope="module")
def ours(world):
    return nextquill.fit(world, nextquill.NEXTQUILL)


@pytest.fixture(scope="module")
def lost(world):
    return nextquill.fit(nextquill.shuffled(world, SHORT), nextquill.NEXTQUILL)


def test_the_weights_find_what_users_write_of_their_own(world, ours, lost):
    found, control = (exceeds("area", nextquill.recovered(world, flat), 0.8) for flat in (ours, lost))
    assert found.holds, str(found)
    assert not control.holds, str(control)


def test_anybodys_history_teaches_no_users_own_words(world, ours, lost):
    less = exceeds("own", world.right(ours)[0] - world.right(lost)[0], 0.5)
    assert less.holds, str(less)

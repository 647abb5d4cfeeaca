"""Row 102: a student has more of a teacher's view of every answer than of the comparisons that the teacher had.

That the advantage adds to it is not shown (METHODS.md).
"""

import pytest

from tests.miniatures import teachers
from tests.miniatures.paired import said, shown
from tests.miniatures.size import SHORT


@pytest.fixture(scope="module")
def found():
    return teachers.measure(SHORT)


def test_a_teacher_is_worth_more_than_its_pairs(found):
    assert found.claims[0].holds, said(found.claims)


def test_advantages_of_other_answers_lead_astray(found):
    assert not shown(found.control), said(found.control)
    assert found.control[1].interval.high < found.claims[1].interval.low, said(found.control)

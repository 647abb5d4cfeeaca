"""KTO: answers judged each by itself, and that it is the judgements that teach.

The claim on lopsided sets does not hold (METHODS.md).
"""

import pytest

from tests.miniatures import kto
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return kto.measure(seeds())


def test_answers_judged_alone_teach_nearly_what_comparisons_do(found):
    assert shown(found.claims), said(found.claims)


def test_shuffled_judgements_teach_nothing(found):
    assert not shown(found.control), said(found.control)

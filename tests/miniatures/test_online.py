"""Row 103: rounds of pairs from the policy as it stands, against as many pairs and steps at once.

Twenty seeds in every form: offline DPO ends anywhere between .2 and 1, and eight seeds do not tell the two apart.
"""

import pytest

from tests.miniatures import online
from tests.miniatures.paired import said, shown
from tests.miniatures.size import LONG


@pytest.fixture(scope="module")
def found():
    return online.measure(LONG)


def test_rounds_on_policy_beat_as_many_pairs_made_at_once(found):
    assert shown(found.claims), said(found.claims)


def test_rounds_that_keep_sampling_the_reference_do_not(found):
    assert not shown(found.control), said(found.control)

"""Row 29: pushing rejected answers down and sampling afresh, where the reference hardly ever samples what is good."""

import pytest

from tests.miniatures import contrast
from tests.miniatures.paired import said, shown
from tests.miniatures.size import LONG

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def found():
    return contrast.measure(LONG)


def test_the_negative_gradient_and_fresh_samples_matter_where_reward_and_reference_disagree(found):
    """The row's third claim, on where they agree, is measured and missed."""
    assert shown(found.claims[:2]), said(found.claims)


def test_without_the_negative_gradient_dpo_falls_to_imitation(found):
    assert not found.control[0].holds, said(found.control)

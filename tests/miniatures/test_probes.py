"""Row 88: planted biases are measured as planted, none is found where there is none, and two ways to be rid of them."""

import pytest

from tests.miniatures import probes
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds

# Half a minute of a core each: of the long forms.
pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def found():
    return probes.measure(seeds())


def test_planted_biases_are_measured_and_averaged_orders_and_training_take_them_away(found):
    assert shown(found.claims), said(found.claims)


def test_other_strengths_turned_verdicts_one_order_twice_and_words_before_the_chosen_show_nothing(found):
    *failing, accuracy = found.control
    assert not any(claim.holds for claim in failing), said(found.control)
    assert accuracy.name.startswith("accuracy")

"""Row 77: as many wins in fewer tokens, and that it is the lengths which make the difference."""

import pytest
import torch

from tests.miniatures import ln_dpo
from tests.miniatures.paired import said, shown
from tests.miniatures.size import seeds


@pytest.fixture(scope="module")
def found():
    return ln_dpo.measure(seeds())


def test_answers_are_a_tenth_shorter_at_the_same_win_rate(found):
    assert shown(found.claims), said(found.claims)


def test_answers_of_one_length_leave_nothing_to_save(found):
    assert not shown(found.control), said(found.control)


def test_at_one_length_both_losses_learn_the_same_policy():
    plain, normalised = ln_dpo.equal_length_fits(range(2))
    torch.testing.assert_close(plain, normalised, rtol=0, atol=1e-9)

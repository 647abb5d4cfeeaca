"""Row 40: what the unbiased loss restores under flipped labels, and that it comes from knowing the flip rate."""

from dataclasses import replace

import pytest
import torch

from tests.miniatures import rdpo
from tests.miniatures.paired import said, shown
from tests.miniatures.size import SHORT, seeds


@pytest.fixture(scope="module")
def found():
    return rdpo.measure(seeds())


def test_value_and_probabilities_are_restored_at_a_fixed_beta(found):
    assert shown(found.claims), said(found.claims)


def test_told_that_no_label_is_flipped_it_restores_nothing(found):
    assert not shown(found.control)
    assert not any(claim.holds for claim in found.control if "gap closed" in claim.name), said(found.control)


def test_told_that_no_label_is_flipped_it_learns_what_dpo_learns():
    world = rdpo.world(SHORT)
    same = replace(rdpo.RDPO, lr=rdpo.DPO.lr)
    robust, plain = rdpo.fit(world, same, 0.3, 0.0), rdpo.fit(world, rdpo.DPO, 0.3, 0.3)
    torch.testing.assert_close(robust, plain, rtol=0, atol=1e-6)

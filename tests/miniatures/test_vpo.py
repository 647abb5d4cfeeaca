"""Row 108, offline: pessimism narrows what DPO trained out spreads, and that it is the value's weight which does.

The row's claim is against DPO at its best rate and does not hold (METHODS.md).
"""

from dataclasses import replace

import pytest
import torch

from tests.miniatures import vpo
from tests.miniatures.paired import said, shown
from tests.miniatures.size import LONG, SHORT


@pytest.fixture(scope="module")
def found():
    return vpo.measure(LONG)


def test_pessimism_narrows_the_spread_of_dpo_trained_out(found):
    assert found.beside["distance taken away, of DPO trained out"].low > 0, said(found.claims)


def test_without_a_weight_it_learns_what_dpo_learns(found):
    assert not shown(found.control), said(found.control)
    rewards, pairs = vpo.world(SHORT)
    blind = replace(vpo.VPO, params={"beta": vpo.BETA, "alpha": 0.0})
    fits = [vpo.fit(rewards, pairs, arm) for arm in (blind, vpo.TRAINED_OUT)]
    torch.testing.assert_close(*fits, rtol=0, atol=1e-9)

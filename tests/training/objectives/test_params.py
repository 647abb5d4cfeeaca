import math
from dataclasses import dataclass

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.training.objectives.params import Checked, number


@dataclass(frozen=True)
class Example(Checked):
    share: float = number(0.1, low=0.0, high=0.5, unit="share", paper="0.1")


@pytest.mark.parametrize("value", [-1e-9, 0.5, math.nan, math.inf, "0.1"])
def test_a_value_outside_the_stated_range_is_refused_by_name(value):
    with pytest.raises(BadSettings, match="share"):
        Example(share=value)


def test_the_lower_end_is_allowed():
    assert Example(share=0.0).share == 0.0

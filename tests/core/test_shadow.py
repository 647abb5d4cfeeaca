"""core/shadow: the same interactions are drawn on every replica."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.core.shadow import Order


def test_who_is_drawn_hangs_on_the_interaction_and_the_salt_alone():
    order = Order("salt", 0.05)
    names = [f"i{i}" for i in range(20_000)]
    drawn = [name for name in names if order.draws(name)]
    assert 0.045 < len(drawn) / len(names) < 0.055
    assert drawn == [name for name in names if replace(order, stable="r41").draws(name)]
    assert all(replace(order, share=0.5).draws(name) for name in drawn), "a greater share draws these too"
    assert all(replace(order, share=1.0).draws(name) for name in names)
    assert not any(replace(order, share=0.0).draws(name) for name in names)
    with pytest.raises(BadSettings):
        Order("salt", 1.01)

"""evaluate/effects: a grid's cells, and the effect of one slot, paired in everything else."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.effects import compared, grid, main_effect, spread

SLOTS = {"data": ("base", "noisy"), "algorithm": ("base", "kto", "sft"), "reward": ("base", "copy")}


def figures(seed: int = 0, n: int = 5) -> dict[tuple[str, ...], np.ndarray]:
    rng = np.random.default_rng(seed)
    return {cell: rng.normal(size=n) for cell in grid(SLOTS)}


def test_a_full_grid_has_every_combination_and_begins_with_the_base() -> None:
    cells = grid(SLOTS)
    assert (len(cells), len(set(cells)), cells[0]) == (12, 12, ("base", "base", "base"))


def test_one_at_a_time_differs_from_the_base_in_one_slot_each() -> None:
    base, *others = grid(SLOTS, full=False)
    assert len(others) == 4
    assert all(sum(a != b for a, b in zip(cell, base, strict=True)) == 1 for cell in others)


@pytest.mark.parametrize("full", [True, False])
def test_compared_cells_differ_in_exactly_one_slot(full: bool) -> None:
    cells = grid(SLOTS, full)
    for slot, levels in SLOTS.items():
        for level in levels[1:]:
            for one, other in compared(SLOTS, cells, slot, level):
                assert [a != b for a, b in zip(one, other, strict=True)].index(True) == list(SLOTS).index(slot)
                assert sum(a != b for a, b in zip(one, other, strict=True)) == 1


def test_main_effects_are_those_of_an_analysis_of_variance() -> None:
    """By another route: least squares of a design with every interaction, sum-coded."""
    slots = {"data": ("a", "b"), "algorithm": ("a", "b"), "reward": ("a", "b")}
    rng = np.random.default_rng(1)
    cells = grid(slots)
    found = {cell: rng.normal(size=3) for cell in cells}
    signs = np.array([[1.0 if level == "b" else -1.0 for level in cell] for cell in cells])
    a, b, c = signs.T
    design = np.stack([np.ones(8), a, b, c, a * b, a * c, b * c, a * b * c], axis=1)
    weights = np.linalg.lstsq(design, np.stack(list(found.values())), rcond=None)[0]
    for i, slot in enumerate(slots):
        effect, count = main_effect(slots, found, slot, "b")
        assert count == 4
        assert effect == pytest.approx(2 * weights[1 + i])


def test_a_copy_has_exactly_no_effect_and_an_interval_of_no_width() -> None:
    found = figures()
    copied = {cell: found[*cell[:2], "base"] for cell in found}
    values, _ = main_effect(SLOTS, copied, "reward", "copy")
    assert spread(values, [0, 0, 1, 1, 2], 0) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_where_nothing_is_compared_it_says_so() -> None:
    found = {cell: values for cell, values in figures().items() if cell[0] == "noisy"}
    with pytest.raises(ValueError, match="no two cells"):
        main_effect(SLOTS, found, "data", "noisy")


def test_the_interval_takes_users_with_all_their_pairs() -> None:
    """Ten pairs of one user are one voice."""
    values = np.r_[np.ones(10), np.zeros(10)]
    wide = spread(values, [0] * 10 + [1] * 10, 0)
    narrow = spread(values, list(range(20)), 0)
    assert (wide["low"], wide["high"]) == (0.0, 1.0)
    assert narrow["high"] - narrow["low"] < 0.5
    assert spread(values, [0] * 10 + [1] * 10, 0) == wide

from __future__ import annotations

import numpy as np
import pytest
import torch
from rejoinder.training.heads.cache import States, batches, tensors
from rejoinder.training.heads.model import RewardEncoder


def test_every_index_is_in_one_batch_and_no_batch_is_over_budget():
    sizes = np.random.default_rng(0).integers(1, 60, 500)
    for rng in (None, np.random.default_rng(1)):
        made = batches(sizes, 200, rng)
        assert sorted(i for part in made for i in part) == list(range(500))
        assert all(len(part) * sizes[part].max() <= 200 for part in made)


def test_batches_of_one_seed_are_the_same_and_of_another_are_not():
    sizes = np.random.default_rng(0).integers(1, 60, 100)
    made = [batches(sizes, 200, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_cached_states_are_what_the_lower_layers_compute_to_the_cache_precision(base, rows):
    model = RewardEncoder(base, rank=2, tuned_from=2).eval()
    some = [rows[0].a, rows[3].b, rows[2].a]
    states, mask, types = States(model, some).padded([2, 0, 1])
    ids, direct_mask, direct_types = tensors([some[2], some[0], some[1]])
    with torch.no_grad():
        direct = model.lower(ids, direct_mask, direct_types)
    assert torch.equal(mask, direct_mask)
    assert torch.equal(types, direct_types)
    inside = mask.bool()
    assert (states[inside] - direct[inside]).abs().max() < 0.03 * direct[inside].abs().max()
    assert states[~inside].abs().sum().item() == pytest.approx(0.0)

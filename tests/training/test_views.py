import dataclasses

import torch
from rejoinder.training.views import PairLogps, total


def view():
    chosen = torch.tensor([[-1.0, -2.0, torch.nan], [-3.0, torch.nan, torch.nan]])
    mask = ~chosen.isnan()
    one = torch.ones(2)
    return PairLogps(chosen, chosen * 2, mask, mask, chosen - 1, chosen * 2 + 1, one, one, one)


def test_sums_run_over_response_tokens_alone():
    assert view().chosen_sum.tolist() == [-3.0, -3.0]
    assert view().rejected_sum.tolist() == [-6.0, -6.0]
    assert view().chosen_length.tolist() == [2.0, 1.0]


def test_a_ratio_is_policy_minus_reference():
    assert view().chosen_ratio.tolist() == [2.0, 1.0]
    assert view().rejected_ratio.tolist() == [-2.0, -1.0]


def test_a_response_without_tokens_has_length_one_and_sum_zero():
    empty = dataclasses.replace(view(), chosen_mask=torch.zeros(2, 3, dtype=torch.bool))
    assert empty.chosen_length.tolist() == [1.0, 1.0]
    assert total(empty.chosen, empty.chosen_mask).tolist() == [0.0, 0.0]

import math

import torch
from rejoinder.training.objectives import dpo


def test_the_loss_is_the_log_probability_that_a_bradley_terry_judge_agrees(make_view):
    view = make_view()
    loss = dpo.loss(view, dpo.Params(beta=0.3)).per_example
    for i in range(7):
        odds = 1.0
        for policy, reference, mask, sign in (
            (view.chosen, view.ref_chosen, view.chosen_mask, 1),
            (view.rejected, view.ref_rejected, view.rejected_mask, -1),
        ):
            for p, r in zip(policy[i][mask[i]], reference[i][mask[i]], strict=True):
                odds *= (math.exp(p) / math.exp(r)) ** (0.3 * sign)
        assert math.isclose(loss[i], -math.log(odds / (1 + odds)), rel_tol=1e-10)


def test_at_three_flips_of_a_fair_coin_the_value_is_the_one_of_algebra(make_view):
    """rho_w = ln 2, rho_l = -ln 2, beta = 1: the odds are 4, the loss ln(5/4)."""
    view = make_view(pairs=1, tokens=1)
    view = type(view)(
        **{**view.__dict__, "chosen": view.ref_chosen + math.log(2), "rejected": view.ref_rejected - math.log(2)}
    )
    torch.testing.assert_close(
        dpo.loss(view, dpo.Params(beta=1.0)).per_example, torch.tensor([math.log(1.25)], dtype=torch.float64)
    )

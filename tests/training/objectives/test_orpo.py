import dataclasses
import math

import pytest
import torch
from rejoinder.training.objectives import orpo, sft


def one(view, chosen, rejected):
    """A pair of one token a side with these probabilities."""
    sides = {"chosen": chosen, "rejected": rejected}
    return dataclasses.replace(
        view, **{side: torch.full_like(getattr(view, side), math.log(p)) for side, p in sides.items()}
    )


def test_even_odds_cost_log_two_and_odds_of_four_to_one_the_log_of_five_quarters(make_view):
    view, params = make_view(pairs=1, tokens=1), orpo.Params(weight=2.0)
    for chosen, rejected, ratio in ((0.3, 0.3, 1), (0.8, 0.5, 4), (0.5, 0.2, 4)):
        expected = -math.log(chosen) + 2.0 * math.log(1 + 1 / ratio)
        assert math.isclose(orpo.loss(one(view, chosen, rejected), params).per_example, expected, rel_tol=1e-12)


def test_without_the_odds_it_is_sft(make_view):
    view = make_view()
    torch.testing.assert_close(
        orpo.loss(view, orpo.Params(weight=0.0)).per_example, sft.loss(view, sft.Params()).per_example
    )


def test_a_response_that_is_certain_has_a_finite_loss_and_gradient(make_view):
    view = make_view(pairs=1, tokens=1)
    view = dataclasses.replace(view, chosen=torch.zeros_like(view.chosen).requires_grad_())
    loss = orpo.loss(view, orpo.Params()).per_example
    loss.backward()
    assert loss.isfinite()
    assert view.chosen.grad.isfinite()


@pytest.mark.parametrize("logp", [-1e-6, -1e-3, -0.6931, -0.6932, -20.0, -90.0])
def test_odds_lose_no_digits_near_certainty_nor_far_from_it(make_view, logp):
    """Of the rejected side in float32, against fp64: log odds, and d loss / d log p = sigmoid(-z) / (1 - p)."""
    view = make_view(pairs=1, tokens=1, dtype=torch.float32)
    rejected = torch.full_like(view.rejected, logp).requires_grad_()
    view = dataclasses.replace(view, chosen=torch.full_like(view.chosen, math.log(0.5)), rejected=rejected)
    found = orpo.loss(view, orpo.Params(weight=1.0))
    found.per_example.backward()
    exact = float(rejected.detach())
    odds = exact - math.log(-math.expm1(exact))
    assert math.isclose(found.metrics["reward_margin"], -odds, rel_tol=1e-6, abs_tol=1e-6)
    slope = 1 / (1 + math.exp(-odds)) / -math.expm1(exact)
    assert math.isclose(rejected.grad, slope, rel_tol=1e-5)

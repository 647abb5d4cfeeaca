import dataclasses

import pytest
import torch
from rejoinder.training.objectives import dpo, rdpo


def with_eps(view, value):
    return dataclasses.replace(view, eps=torch.full_like(view.eps, value))


def swapped(view):
    return dataclasses.replace(
        view,
        chosen=view.rejected,
        rejected=view.chosen,
        chosen_mask=view.rejected_mask,
        rejected_mask=view.chosen_mask,
        ref_chosen=view.ref_rejected,
        ref_rejected=view.ref_chosen,
    )


@pytest.mark.parametrize("eps", [0.1, 0.2, 0.4])
def test_the_mean_over_flips_is_the_clean_loss(eps, make_view):
    view = with_eps(make_view(), eps)
    params = rdpo.Params(beta=0.3)
    seen = (1 - eps) * rdpo.loss(view, params).per_example + eps * rdpo.loss(swapped(view), params).per_example
    torch.testing.assert_close(seen, dpo.loss(view, dpo.Params(beta=0.3)).per_example, rtol=1e-12, atol=1e-12)


def test_dpos_own_mean_over_flips_is_not_the_clean_loss(make_view):
    view, params = make_view(), dpo.Params(beta=0.3)
    seen = 0.8 * dpo.loss(view, params).per_example + 0.2 * dpo.loss(swapped(view), params).per_example
    assert not torch.allclose(seen, dpo.loss(view, params).per_example, rtol=1e-2)


def test_no_flips_is_dpo(make_view):
    view = with_eps(make_view(), 0.0)
    torch.testing.assert_close(
        rdpo.loss(view, rdpo.Params(beta=0.3)).per_example,
        dpo.loss(view, dpo.Params(beta=0.3)).per_example,
        rtol=1e-12,
        atol=0,
    )


def test_a_pair_without_its_own_flip_probability_takes_the_parameters(make_view):
    view = make_view()
    unknown = view.eps.isnan()
    assert unknown.any()
    assert not unknown.all()
    mixed = rdpo.loss(view, rdpo.Params(eps=0.3)).per_example
    stated = rdpo.loss(with_eps(view, 0.3), rdpo.Params(eps=0.05)).per_example
    torch.testing.assert_close(mixed[unknown], stated[unknown], rtol=0, atol=0)
    assert (mixed[~unknown] != stated[~unknown]).all()


def test_the_gradient_never_vanishes(make_view):
    """d loss / d z = -(sigmoid(-z) + eps / (1 - 2 eps)): at z = 40 DPO's is gone and rDPO's is eps / (1 - 2 eps)."""
    base = make_view(pairs=1, tokens=1)
    view = with_eps(dataclasses.replace(base, chosen=base.ref_chosen + 40, rejected=base.ref_rejected.clone()), 0.2)
    view.chosen.requires_grad_()
    rdpo.loss(view, rdpo.Params(beta=1.0)).per_example.backward()
    torch.testing.assert_close(view.chosen.grad, torch.tensor([[-0.2 / 0.6]], dtype=torch.float64))

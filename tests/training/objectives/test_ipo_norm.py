import dataclasses

import torch
from rejoinder.training.objectives import ipo, ipo_norm


def test_with_all_lengths_equal_it_is_the_papers_form_with_tau_times_length(make_view):
    """((S / n) - 1 / (2 tau))^2 = (S - 1 / (2 tau / n))^2 / n^2, n = 4."""
    view = make_view(lengths=[4] * 7)
    torch.testing.assert_close(
        ipo_norm.loss(view, ipo_norm.Params(tau=0.4)).per_example * 16,
        ipo.loss(view, ipo.Params(tau=0.1)).per_example,
        rtol=1e-12,
        atol=1e-12,
    )


def test_the_same_nudge_per_token_is_worth_the_same_at_any_length_and_more_to_the_papers_form(make_view):
    def gap(module, length):
        view = make_view(pairs=1, lengths=[length])
        view = dataclasses.replace(view, chosen=view.ref_chosen + 0.2, rejected=view.ref_rejected)
        return module.loss(view, module.Params(tau=1.0)).metrics["reward_margin"].item()

    assert abs(gap(ipo_norm, 1) - gap(ipo_norm, 9)) < 1e-12
    assert abs(gap(ipo, 9) - 9 * gap(ipo, 1)) < 1e-12

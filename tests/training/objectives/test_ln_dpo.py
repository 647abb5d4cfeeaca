import dataclasses

import torch
from rejoinder.training.objectives import dpo, ln_dpo


def test_with_all_lengths_equal_it_is_dpo_at_beta_over_length(make_view):
    view = make_view(lengths=[5] * 7)
    torch.testing.assert_close(
        ln_dpo.loss(view, ln_dpo.Params(beta=5.0)).per_example,
        dpo.loss(view, dpo.Params(beta=1.0)).per_example,
        rtol=1e-12,
        atol=1e-12,
    )


def test_length_alone_earns_nothing(make_view):
    """F03: the same log-ratio per token on 9 tokens against 1 is a win for DPO and a tie here."""
    view = make_view(pairs=1, lengths=[9])
    rejected_mask = torch.arange(9)[None] < 1
    view = dataclasses.replace(
        view,
        chosen=view.ref_chosen + 0.2,
        ref_rejected=view.ref_chosen,
        rejected=view.ref_chosen + 0.2,
        rejected_mask=rejected_mask,
    )
    assert ln_dpo.loss(view, ln_dpo.Params(beta=5.0)).metrics["reward_margin"].abs() < 1e-12
    assert dpo.loss(view, dpo.Params(beta=1.0)).metrics["reward_margin"] > 1

import dataclasses

import torch
from rejoinder.training.objectives import dpo, rpo, sft


def test_it_is_dpo_and_alpha_times_sft(make_view):
    view = make_view()
    torch.testing.assert_close(
        rpo.loss(view, rpo.Params(beta=0.3, alpha=0.7)).per_example,
        dpo.loss(view, dpo.Params(beta=0.3)).per_example + 0.7 * sft.loss(view, sft.Params()).per_example,
        rtol=1e-12,
        atol=1e-12,
    )


def test_a_fall_of_both_responses_that_dpo_does_not_see_costs(make_view):
    """One nat a token on both sides of equal length: DPO's loss stays, this one rises by alpha."""
    view = make_view(lengths=[4] * 7)
    fallen = dataclasses.replace(view, chosen=view.chosen - 1, rejected=view.rejected - 1)
    plain = [dpo.loss(v, dpo.Params()).per_example for v in (view, fallen)]
    torch.testing.assert_close(*plain, rtol=1e-9, atol=1e-9)
    held = [rpo.loss(v, rpo.Params(alpha=0.7)).per_example for v in (view, fallen)]
    torch.testing.assert_close(held[1] - held[0], torch.full((7,), 0.7, dtype=torch.float64), rtol=1e-9, atol=1e-9)

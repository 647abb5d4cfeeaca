import torch
from rejoinder.training.objectives import dove, dpo


def test_over_one_prompt_it_is_dpo(make_view):
    """What the sides share is no part of their responses; tests/training/test_pairs.py has prompts that differ."""
    view = make_view()
    torch.testing.assert_close(
        dove.loss(view, dove.Params(beta=0.3)).per_example, dpo.loss(view, dpo.Params(beta=0.3)).per_example
    )


def test_a_prompt_of_its_own_counts_as_the_response_does(make_view):
    """A token of a side's prompt whose log-ratio is one nat moves the margin by beta."""
    view = make_view(pairs=1, tokens=2, lengths=[2])
    params = dove.Params(beta=0.3)
    before = dove.loss(view, params).metrics["reward_margin"]
    chosen = view.chosen.clone()
    chosen[:, 0] += 1
    after = dove.loss(type(view)(**{**vars(view), "chosen": chosen}), params).metrics["reward_margin"]
    torch.testing.assert_close(after - before, torch.tensor([0.3], dtype=torch.float64))

import math

import torch
from rejoinder.training.objectives import sft


def test_it_is_the_cross_entropy_of_the_chosen_tokens(make_view):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 3, 11, generator=generator, dtype=torch.float64)
    targets = torch.tensor([[4, 0, 9]])
    view = make_view(pairs=1, lengths=[3], tokens=3)
    view = type(view)(**{**view.__dict__, "chosen": logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)})
    expected = torch.nn.functional.cross_entropy(logits[0], targets[0])
    assert math.isclose(sft.loss(view, sft.Params()).per_example.item(), expected.item(), rel_tol=1e-12)

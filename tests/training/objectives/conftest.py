"""Random views with ragged lengths, and garbage where the mask is false."""

import pytest
import torch
from rejoinder.training.views import PairLogps, Responses


def random_view(seed=0, pairs=7, tokens=9, dtype=torch.float64, lengths=None):
    generator = torch.Generator().manual_seed(seed)

    def logps():
        return -3 * torch.rand(pairs, tokens, generator=generator, dtype=torch.float64).to(dtype) - 0.05

    def mask():
        sizes = torch.randint(1, tokens + 1, (pairs, 1), generator=generator)
        return torch.arange(tokens) < (sizes if lengths is None else torch.as_tensor(lengths)[:, None])

    chosen_mask, rejected_mask = mask(), mask()
    eps = torch.rand(pairs, generator=generator, dtype=torch.float64).to(dtype) * 0.4
    eps[::2] = torch.nan
    view = PairLogps(
        chosen=logps().masked_fill(~chosen_mask, torch.nan),
        rejected=logps().masked_fill(~rejected_mask, torch.nan),
        chosen_mask=chosen_mask,
        rejected_mask=rejected_mask,
        ref_chosen=logps().masked_fill(~chosen_mask, torch.nan),
        ref_rejected=logps().masked_fill(~rejected_mask, torch.nan),
        weight=torch.rand(pairs, generator=generator, dtype=torch.float64).to(dtype) + 0.5,
        margin=torch.rand(pairs, generator=generator, dtype=torch.float64).to(dtype),
        eps=eps,
    )
    return view


def random_responses(seed=0, divergence=0.3, **options):
    """The same pairs as the loop gives them to any view."""
    view = random_view(seed, **options)

    def both(name):
        return torch.stack([getattr(view, name.format("chosen")), getattr(view, name.format("rejected"))], 1)

    value = torch.tensor([1.0, 0.0], dtype=view.chosen.dtype).expand(len(view.weight), 2)
    zero = torch.tensor(divergence, dtype=view.chosen.dtype)
    logps, mask = both("{}"), both("{}_mask")
    draw = torch.Generator().manual_seed(seed + 1000)
    without, effect = (
        (-3 * torch.rand(mask.shape, generator=draw, dtype=torch.float64).to(logps.dtype)).masked_fill(~mask, torch.nan)
        for _ in range(2)
    )
    student, teacher, before = (
        torch.randn(*mask.shape, 4, generator=draw, dtype=torch.float64)
        .log_softmax(-1)
        .to(logps.dtype)
        .masked_fill(~mask[..., None], torch.nan)
        for _ in range(3)
    )
    per_pair = (view.weight, view.margin, view.eps)
    return Responses(logps, mask, both("ref_{}"), value, *per_pair, zero, without, effect, student, teacher, before)


@pytest.fixture
def make_view():
    return random_view


@pytest.fixture
def make_responses():
    return random_responses

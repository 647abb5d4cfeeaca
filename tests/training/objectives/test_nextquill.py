import dataclasses

import pytest
import torch
from rejoinder.training.objectives import nextquill, sft
from rejoinder.training.views import HistoryLogps, PairLogps

PLAIN = nextquill.Params(alpha=0.0, heavy=1.0, light=1.0)


def of_logits(ours_TV, others_TV, targets_T):
    """The view of one answer."""
    ours, others, effect = (
        z.log_softmax(-1).gather(-1, targets_T[:, None]).T for z in (ours_TV, others_TV, ours_TV - others_TV)
    )
    return HistoryLogps(ours, others, effect, torch.ones_like(ours, dtype=torch.bool))


@pytest.fixture
def logits():
    draw = torch.Generator().manual_seed(3)
    ours, others = torch.randn(2, 5, 11, generator=draw, dtype=torch.float64)
    return ours, others, torch.randint(11, (5,), generator=draw)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_unweighed_and_without_the_effect_it_is_sft(make_responses, dtype, tolerance):
    given = make_responses(dtype=dtype)
    both = []
    for compute in (
        lambda r: nextquill.loss(HistoryLogps.of(r), PLAIN),
        lambda r: sft.loss(PairLogps.of(r), sft.Params()),
    ):
        leaf = dataclasses.replace(given, logps=given.logps.nan_to_num(0).requires_grad_())
        found = compute(leaf).per_example
        found.sum().backward()
        both.append((found.detach(), leaf.logps.grad))
    torch.testing.assert_close(both[0], both[1], rtol=tolerance, atol=tolerance)


def test_the_second_term_is_the_cross_entropy_of_the_difference(logits):
    """As the released trainer has it beside plain cross-entropy."""
    cross_entropy = torch.nn.functional.cross_entropy
    ours, others, targets = logits
    expected = cross_entropy(ours, targets) + 0.3 * cross_entropy(ours - others, targets)
    found = nextquill.loss(of_logits(ours, others, targets), dataclasses.replace(PLAIN, alpha=0.3)).per_example
    torch.testing.assert_close(found[0], expected, rtol=1e-12, atol=1e-12)


def test_a_token_weighs_more_exactly_where_the_history_adds_more_than_the_threshold(logits):
    """By the released trainer's weights; their gradient is none, so that the slope is that of a weighted mean."""
    ours, others, targets = logits
    added = (ours.softmax(-1) - others.softmax(-1)).gather(-1, targets[:, None])[:, 0]
    weight = torch.tensor([0.9 if a > 0.05 else 0.1 for a in added], dtype=torch.float64)
    assert 0 < (weight == 0.9).sum() < len(weight)
    leaf = ours.clone().requires_grad_()
    found = nextquill.loss(of_logits(leaf, others, targets), nextquill.Params(alpha=0.0)).per_example
    found.sum().backward()
    slope = (ours.softmax(-1) - torch.nn.functional.one_hot(targets, 11)) * (weight / weight.sum())[:, None]
    torch.testing.assert_close(leaf.grad, slope, rtol=1e-12, atol=1e-12)


def test_a_history_without_an_effect_leaves_every_token_its_share(logits):
    ours, _, targets = logits
    found = nextquill.loss(of_logits(ours, ours, targets), nextquill.Params(alpha=0.0)).per_example
    torch.testing.assert_close(found[0], torch.nn.functional.cross_entropy(ours, targets), rtol=1e-12, atol=1e-12)

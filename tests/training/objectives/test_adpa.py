import dataclasses

import pytest
import torch
from rejoinder.training.objectives import adpa, sft
from rejoinder.training.views import PairLogps, TaughtLogps

PARAMS = adpa.Params(gamma=0.7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_without_an_advantage_it_is_sft(make_responses, dtype, tolerance):
    given = make_responses(dtype=dtype)
    expected = sft.loss(PairLogps.of(given), sft.Params()).per_example
    unweighed = adpa.loss(TaughtLogps.of(given), adpa.Params(gamma=0.0)).per_example
    unmoved = adpa.loss(TaughtLogps.of(dataclasses.replace(given, before=given.teacher)), PARAMS).per_example
    for found in (unweighed, unmoved):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def one_step(logits_BC, teacher_BC, before_BC):
    """A bandit: answers of one token, of which nothing is imitated."""
    student, teacher, before = (
        z.log_softmax(-1)[:, None, None].expand(-1, 2, 1, -1) for z in (logits_BC, teacher_BC, before_BC)
    )
    zeros = torch.zeros(student.shape[:3], dtype=student.dtype)
    return TaughtLogps(zeros, torch.ones_like(zeros, dtype=torch.bool), student, teacher, before)


def test_on_a_bandit_the_slope_is_the_policy_gradient_with_its_exact_expectation():
    """d/dz_a of sum_b p_b A_b is p_a (A_a - sum_b p_b A_b)."""
    draw = torch.Generator().manual_seed(1)
    logits, teacher, before = torch.randn(3, 4, 6, generator=draw, dtype=torch.float64)
    leaf = logits.clone().requires_grad_()
    adpa.loss(one_step(leaf, teacher, before), PARAMS).per_example.sum().backward()
    chance, advantage = logits.softmax(-1), teacher.log_softmax(-1) - before.log_softmax(-1)
    slope = chance * (advantage - (chance * advantage).sum(-1, keepdim=True))
    torch.testing.assert_close(leaf.grad, -PARAMS.gamma * slope, rtol=1e-12, atol=1e-12)


def test_a_token_that_the_teacher_never_said_before_is_clipped():
    logits, teacher = torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    before = torch.tensor([[-1000.0, 0.0, 0.0]], dtype=torch.float64)
    gained = adpa.loss(one_step(logits, teacher, before), adpa.Params(clip=2.0)).metrics["reward_margin"]
    rest = torch.log(torch.tensor(2 / 3, dtype=torch.float64))
    torch.testing.assert_close(gained[0], (2.0 + 2 * rest) / 3)


def test_the_chosen_sides_outcomes_are_not_read(make_responses):
    given = make_responses()
    student = given.student.clone()
    student[:, 0] = -1.0
    found = adpa.loss(TaughtLogps.of(dataclasses.replace(given, student=student)), PARAMS).per_example
    assert torch.equal(found, adpa.loss(TaughtLogps.of(given), PARAMS).per_example)


def test_the_students_gradient_is_the_one_that_finite_differences_give(make_responses):
    given = make_responses(pairs=2, tokens=3, lengths=[3, 3])
    leaf = given.student.clone().requires_grad_()

    def per_example(student):
        return adpa.loss(TaughtLogps.of(dataclasses.replace(given, student=student)), PARAMS).per_example

    assert torch.autograd.gradcheck(per_example, (leaf,), eps=1e-6, atol=1e-7)

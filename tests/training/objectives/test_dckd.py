import dataclasses

import pytest
import torch
from rejoinder.training.objectives import dckd, sft
from rejoinder.training.views import PairLogps, TaughtLogps

PARAMS = dckd.Params(alpha=0.7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_without_a_divergence_it_is_sft(make_responses, dtype, tolerance):
    given = make_responses(dtype=dtype)
    torch.testing.assert_close(
        dckd.loss(TaughtLogps.of(given), dckd.Params(alpha=0.0)).per_example,
        sft.loss(PairLogps.of(given), sft.Params()).per_example,
        rtol=tolerance,
        atol=tolerance,
    )


def test_a_student_that_is_its_teacher_only_imitates(make_responses):
    given = make_responses()
    taught = TaughtLogps.of(dataclasses.replace(given, student=given.teacher))
    torch.testing.assert_close(
        dckd.loss(taught, PARAMS).per_example, sft.loss(PairLogps.of(given), sft.Params()).per_example
    )


def test_either_side_has_its_own_say(make_responses):
    given = make_responses()
    before = dckd.loss(TaughtLogps.of(given), PARAMS).per_example
    for side in (0, 1):
        student = given.student.clone()
        student[:, side] = given.teacher[:, side]
        nearer = dckd.loss(TaughtLogps.of(dataclasses.replace(given, student=student)), PARAMS).per_example
        assert (nearer < before).all()


def test_the_students_gradient_is_the_one_that_finite_differences_give(make_responses):
    given = make_responses(pairs=2, tokens=3, lengths=[3, 3])
    leaf = given.student.clone().requires_grad_()

    def per_example(student):
        return dckd.loss(TaughtLogps.of(dataclasses.replace(given, student=student)), PARAMS).per_example

    assert torch.autograd.gradcheck(per_example, (leaf,), eps=1e-6, atol=1e-7)

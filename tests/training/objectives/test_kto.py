import dataclasses
import math

import pytest
import torch
from rejoinder.training.objectives import kto
from rejoinder.training.views import JudgedLogps


def value(ratio, zero, beta, good):
    """By the paper's own words: 1 less the sigmoid of what was gained over the reference point."""
    over = beta * (ratio - zero) * (1 if good else -1)
    return 1 - 1 / (1 + math.exp(-over))


def test_a_prompts_answers_cost_what_each_costs_alone(make_responses):
    given = make_responses(divergence=0.4)
    view, params = JudgedLogps.of(given), kto.Params(beta=0.3, desirable=1.2, undesirable=0.7)
    found = kto.loss(view, params).per_example
    for i in range(7):
        good, bad = (view.ratio[i, k].item() for k in (0, 1))
        expected = 1.2 * value(good, 0.4, 0.3, True) + 0.7 * value(bad, 0.4, 0.3, False)
        assert math.isclose(found[i], expected / 2, rel_tol=1e-10)


@pytest.mark.parametrize(("kept", "good"), [(0, True), (1, False)])
def test_an_answer_needs_no_other(make_responses, kept, good):
    given = make_responses(divergence=0.4)
    alone = {name: getattr(given, name)[:, [kept]] for name in ("logps", "mask", "reference", "value")}
    alone = JudgedLogps.of(dataclasses.replace(given, **alone))
    found = kto.loss(alone, kto.Params(beta=0.3)).per_example
    expected = [value(r, 0.4, 0.3, good) for r in alone.ratio[:, 0].tolist()]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_a_row_that_lacks_an_answer_is_as_if_it_had_no_place_for_it(make_responses):
    given = make_responses()
    gone = dataclasses.replace(given, mask=given.mask & torch.tensor([True, False])[:, None])
    alone = {name: getattr(given, name)[:, :1] for name in ("logps", "mask", "reference", "value")}
    both = [JudgedLogps.of(r) for r in (gone, dataclasses.replace(given, **alone))]
    torch.testing.assert_close(*(kto.loss(view, kto.Params()).per_example for view in both))


def test_the_reference_point_has_no_say_in_the_gradients_direction_but_in_its_size(make_responses):
    """The gradient in rho is -beta * s * (1 - s): greatest at the reference point, small for an answer far past it."""
    steps = []
    for zero in (0.0, 20.0):
        given = make_responses(pairs=1, tokens=1, divergence=zero)
        given = dataclasses.replace(given, logps=given.reference.clone().requires_grad_())
        kto.loss(JudgedLogps.of(given), kto.Params(beta=1.0)).per_example.sum().backward()
        steps.append(given.logps.grad[0, 0, 0].item())
    assert math.isclose(steps[0], -0.25 / 2, rel_tol=1e-9)
    assert -1e-8 < steps[1] < 0


def test_a_loop_that_computed_no_divergence_is_a_mistake(make_responses):
    with pytest.raises(TypeError, match="divergence"):
        JudgedLogps.of(dataclasses.replace(make_responses(), divergence=None))

import dataclasses
import math

import torch
from rejoinder.training.objectives import dpo, tpo
from rejoinder.training.views import ListLogps, PairLogps, Responses

TWO = 1 - 1 / math.log2(3)


def lists(ratios, values, lengths=None):
    """Lists of responses of one token, the reference at zero."""
    logps = torch.tensor(ratios, dtype=torch.float64)[..., None]
    rows, places = logps.shape[:2]
    count = torch.tensor([places] * rows if lengths is None else lengths)
    mask = (torch.arange(places) < count[:, None])[..., None]
    one = torch.ones(rows, dtype=torch.float64)
    value = torch.tensor(values, dtype=torch.float64)
    return ListLogps.of(Responses(logps, mask, torch.zeros_like(logps), value, one, one, one))


def by_hand(scores, values):
    """The equation, pair by pair."""
    low, high = min(values), max(values)
    gain = [2 ** ((v - low) / (high - low)) - 1 for v in values]
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    rank = {i: place + 1 for place, i in enumerate(order)}
    found = 0.0
    for i, first in enumerate(values):
        for j, second in enumerate(values):
            if first > second:
                weight = abs(gain[i] - gain[j]) * abs(1 / math.log2(1 + rank[i]) - 1 / math.log2(1 + rank[j]))
                found += weight * math.log(1 + math.exp(scores[j] - scores[i]))
    return found


def test_it_is_the_sum_over_ordered_pairs():
    ratios, values = [[0.3, -1.0, 2.0, 0.1]], [[7.0, 5.0, 5.0, -1.0]]
    found = tpo.loss(lists(ratios, values), tpo.Params(beta=0.5)).per_example
    assert math.isclose(found, by_hand([r * 0.5 for r in ratios[0]], values[0]), rel_tol=1e-12)


def test_of_two_answers_it_is_dpo_times_what_the_second_place_is_worth_less(make_responses):
    given = make_responses()
    torch.testing.assert_close(
        tpo.loss(ListLogps.of(given), tpo.Params(beta=0.3)).per_example,
        TWO * dpo.loss(PairLogps.of(given), dpo.Params(beta=0.3)).per_example,
        rtol=1e-12,
        atol=1e-12,
    )


def test_a_step_down_the_gradient_lifts_the_best_and_lowers_the_worst():
    """The released code's sign would do the opposite."""
    view = lists([[0.0, 0.1, -0.1]], [[1.0, 0.5, 0.0]])
    logps = view.logps.clone().requires_grad_()
    tpo.loss(dataclasses.replace(view, logps=logps), tpo.Params()).per_example.backward()
    assert logps.grad[0, 0] < 0 < logps.grad[0, 2]


def test_a_judges_unit_and_zero_mean_nothing_and_a_shorter_list_has_its_own_scale():
    ratios = [[0.3, -1.0, 2.0], [0.5, 0.2, 9.0]]
    found = tpo.loss(lists(ratios, [[3.0, 2.0, 1.0], [1.0, 0.0, 0.0]], [3, 2]), tpo.Params()).per_example
    other = tpo.loss(lists(ratios, [[50.0, 30.0, 10.0], [9.0, 8.0, 7.0]], [3, 2]), tpo.Params()).per_example
    torch.testing.assert_close(found, other, rtol=1e-12, atol=1e-12)
    assert math.isclose(found[1], TWO * math.log(1 + math.exp(-0.5 * 0.3)), rel_tol=1e-12)


def test_equals_teach_nothing():
    assert tpo.loss(lists([[1.0, 2.0]], [[4.0, 4.0]]), tpo.Params()).per_example == 0

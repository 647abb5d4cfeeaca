import dataclasses

import torch
from rejoinder.training.objectives import ipo


def at_gap(view, gap):
    """The view whose log-ratio gap of whole responses is `gap` nats, all of it on the first chosen token."""
    chosen = view.ref_chosen.clone()
    chosen[:, 0] += gap
    return dataclasses.replace(view, chosen=chosen, rejected=view.ref_rejected)


def test_the_minimum_lies_at_half_over_tau(make_view):
    view, params = make_view(), ipo.Params(tau=0.25)
    at = {gap: ipo.loss(at_gap(view, gap), params).per_example.mean().item() for gap in (1.0, 2.0, 3.0)}
    assert at[2.0] < 1e-20
    assert abs(at[1.0] - 1) < 1e-12
    assert abs(at[3.0] - 1) < 1e-12


def test_on_one_prompt_with_two_answers_the_minimiser_is_the_papers_closed_form():
    """Sec. 4.2: with preference p, the fitted gap is (p - 1/2) / tau, so the policy stays finite even where p = 1."""
    tau, p, gap = 0.4, 0.9, torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([gap], lr=0.2)
    for _ in range(200):
        optimiser.zero_grad()
        loss = p * (gap - 1 / (2 * tau)) ** 2 + (1 - p) * (-gap - 1 / (2 * tau)) ** 2
        loss.backward()
        optimiser.step()
    assert abs(gap.item() - (p - 0.5) / tau) < 1e-9

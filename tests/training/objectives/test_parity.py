"""Our rows against TRL's own code on the same tensors: loss and gradient, 1e-10 in fp64 and 1e-6 in fp32."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest
import torch
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.views import JudgedLogps, PairLogps, TaughtLogps

_spec = importlib.util.spec_from_file_location("trl_oracle", Path(__file__).with_name("trl.py"))
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-6}

CASES = [
    ("dpo", {"beta": 0.1}, "sigmoid", {"beta": 0.1}),
    ("dpo", {"beta": 0.7}, "sigmoid", {"beta": 0.7}),
    ("rdpo", {"beta": 0.3, "eps": 0.2}, "robust", {"beta": 0.3, "label_smoothing": 0.2}),
    ("rdpo", {"beta": 0.3, "eps": 0.0}, "sigmoid", {"beta": 0.3}),
    ("ln_dpo", {"beta": 5.0}, "sigmoid_norm", {"beta": 5.0}),
    ("ipo_norm", {"tau": 0.4}, "ipo", {"beta": 0.4}),
    ("dove", {"beta": 0.4}, "sigmoid", {"beta": 0.4}),
    ("vpo", {"beta": 0.4, "alpha": 0.0}, "sigmoid", {"beta": 0.4}),
]


def ours_and_theirs(name, params, loss_type, keywords, view):
    def graded(compute):
        leaf = dataclasses.replace(
            view,
            chosen=view.chosen.nan_to_num(0).requires_grad_(),
            rejected=view.rejected.nan_to_num(0).requires_grad_(),
        )
        loss = compute(leaf)
        loss.backward()
        return loss.detach(), torch.cat([leaf.chosen.grad, leaf.rejected.grad])

    row = OBJECTIVES[name]
    ours = graded(lambda leaf: row.make(leaf, row.with_params(params)).per_example.mean())
    theirs = graded(lambda leaf: oracle.trl_loss(loss_type, leaf, **keywords))
    return ours, theirs


def without_eps(view):
    return dataclasses.replace(view, eps=torch.full_like(view.eps, torch.nan))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "params", "loss_type", "keywords"), CASES)
def test_loss_and_gradient_equal_trls(name, params, loss_type, keywords, dtype, make_view):
    for seed in range(3):
        view = without_eps(make_view(seed, dtype=dtype))
        (loss, gradient), (their_loss, their_gradient) = ours_and_theirs(name, params, loss_type, keywords, view)
        tolerance = TOLERANCE[dtype]
        torch.testing.assert_close(loss, their_loss, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(gradient, their_gradient, rtol=tolerance, atol=tolerance)


def test_trls_ipo_is_not_the_papers_equation_unless_every_response_is_one_token_long(make_view):
    """The trap: one name, two losses. The summed form meets TRL's only where dividing by length does nothing."""
    params, keywords = {"tau": 0.4}, {"beta": 0.4}
    view = make_view(tokens=1)
    (loss, gradient), (theirs, their_gradient) = ours_and_theirs("ipo", params, "ipo", keywords, view)
    torch.testing.assert_close(loss, theirs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-10, atol=1e-10)
    (loss, _), (theirs, _) = ours_and_theirs("ipo", params, "ipo", keywords, make_view())
    assert abs(loss - theirs) > 0.1


def test_trls_sft_is_ours_weighted_by_length(make_view):
    view = make_view()
    row = OBJECTIVES["sft"]
    per_example, length = row.make(view, row.with_params()).per_example, view.chosen_length
    weighted = (per_example * length).sum() / length.sum()
    torch.testing.assert_close(weighted, oracle.trl_loss("sft", view, beta=0.1), rtol=1e-10, atol=1e-10)


def test_exo_is_trls_in_float32_in_which_trl_holds_its_eps(make_view):
    for seed in range(3):
        view = make_view(seed, dtype=torch.float32)
        keywords = {"beta": 0.4, "label_smoothing": 0.02}
        ours, theirs = ours_and_theirs("exo", {"beta": 0.4, "eps": 0.02}, "exo_pair", keywords, view)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rpo_is_trls_sum_of_two_losses_where_chosen_responses_are_of_one_length(dtype, make_view):
    """TRL's `sft` is a mean over the batch's tokens, ours over each response's."""
    view = without_eps(make_view(lengths=[5] * 7, dtype=dtype))
    keywords = {"beta": 0.3, "weights": [1.0, 0.7]}
    ours, theirs = ours_and_theirs("rpo", {"beta": 0.3, "alpha": 0.7}, "sigmoid+sft", keywords, view)
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_kto_is_trls_with_its_own_estimate_of_the_divergence(dtype, make_responses):
    tolerance, row = TOLERANCE[dtype], OBJECTIVES["kto"]
    weights = {"desirable": 1.3, "undesirable": 0.9}
    params = row.with_params({"beta": 0.3} | weights)
    for seed in range(3):
        given = make_responses(seed, dtype=dtype)
        crossed = torch.linspace(-1, 4 + seed, 14, dtype=dtype)
        both = []
        for compute in (
            lambda r, zero: row.make(
                JudgedLogps.of(dataclasses.replace(r, divergence=zero)), params
            ).per_example.mean(),
            lambda r, zero, crossed=crossed: oracle.kto_loss(PairLogps.of(r), crossed, beta=0.3, **weights),
        ):
            leaf = dataclasses.replace(given, logps=given.logps.nan_to_num(0).requires_grad_())
            loss = compute(leaf, crossed.mean().clamp(min=0))
            loss.backward()
            both.append((loss.detach(), leaf.logps.grad))
        torch.testing.assert_close(both[0], both[1], rtol=tolerance, atol=tolerance)


def test_orpo_is_the_likelihood_and_trls_odds_ratio(make_view):
    """In float32, which TRL casts to."""
    row, params = OBJECTIVES["orpo"], {"weight": 0.4}
    view = make_view(dtype=torch.float32)
    both = []
    for compute in (
        lambda v: row.make(v, row.with_params(params)).per_example,
        lambda v: (
            oracle.odds_ratio_term(v.chosen_sum / v.chosen_length, v.rejected_sum / v.rejected_length, 0.4)
            - v.chosen_sum / v.chosen_length
        ),
    ):
        leaf = dataclasses.replace(
            view,
            chosen=view.chosen.nan_to_num(0).requires_grad_(),
            rejected=view.rejected.nan_to_num(0).requires_grad_(),
        )
        loss = compute(leaf)
        loss.sum().backward()
        both.append((loss.detach(), leaf.chosen.grad, leaf.rejected.grad))
    torch.testing.assert_close(both[0], both[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dckd_is_sft_and_trls_divergence_on_either_side(dtype, make_responses):
    tolerance, row = TOLERANCE[dtype], OBJECTIVES["dckd"]
    params = row.with_params({"alpha": 0.7})
    for seed in range(3):
        given = make_responses(seed, dtype=dtype)
        given = dataclasses.replace(given, student=given.student.nan_to_num(0), teacher=given.teacher.nan_to_num(0))

        def theirs(r):
            pair = PairLogps.of(r)
            apart = [
                oracle.forward_divergence(s[m], t[m])
                for s, t, m in zip(r.student.flatten(0, 1), r.teacher.flatten(0, 1), r.mask.flatten(0, 1), strict=True)
            ]
            return -pair.chosen_sum / pair.chosen_length + 0.7 * torch.stack(apart).view(-1, 2).sum(1)

        both = []
        for compute in (lambda r: row.make(TaughtLogps.of(r), params).per_example, theirs):
            leaf = dataclasses.replace(given, student=given.student.clone().log_softmax(-1).requires_grad_())
            # TRL takes logits: what is normalised once more is the same, and so must ours be to have its slope.
            shown = dataclasses.replace(leaf, student=leaf.student.log_softmax(-1))
            loss = compute(shown)
            loss.sum().backward()
            both.append((loss.detach(), leaf.student.grad))
        torch.testing.assert_close(both[0], both[1], rtol=tolerance, atol=tolerance)


def test_a_wrong_beta_is_noticed(make_view):
    view = without_eps(make_view())
    (loss, _), (theirs, _) = ours_and_theirs("dpo", {"beta": 0.1}, "sigmoid", {"beta": 0.11}, view)
    assert abs(loss - theirs) > 1e-4

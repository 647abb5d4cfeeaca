import dataclasses
import math

from rejoinder.training.objectives import exo


def at(view, z):
    """The views whose margin is z, at beta = 1."""
    return dataclasses.replace(view, chosen=view.ref_chosen + z, rejected=view.ref_rejected)


def test_it_is_the_divergence_of_the_policys_choice_from_the_labels(make_view):
    view, params = make_view(pairs=1, tokens=1), exo.Params(beta=1.0, eps=0.1)
    for z in (-3.0, 0.0, 1.5):
        q = 1 / (1 + math.exp(-z))
        expected = q * math.log(q / 0.9) + (1 - q) * math.log((1 - q) / 0.1)
        assert math.isclose(exo.loss(at(view, z), params).per_example, expected, rel_tol=1e-9)


def test_it_stops_where_the_policy_says_what_the_label_says(make_view):
    view, params = make_view(pairs=1, tokens=1), exo.Params(beta=1.0, eps=0.1)
    best = math.log(0.9 / 0.1)
    assert exo.loss(at(view, best), params).per_example.abs() < 1e-12
    assert exo.loss(at(view, best + 1), params).per_example > 1e-3
    assert exo.loss(at(view, best - 1), params).per_example > 1e-3

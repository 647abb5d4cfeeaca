"""The world leaves something to learn, and nothing to gain from one style for all: evidence, "The demo's world"."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from rejoinder.simulate.ceilings import STYLES, ceilings, mean_satisfaction, of_habits
from rejoinder.simulate.tastes import NORMS, people
from rejoinder.training.embedded import corpus
from rejoinder.training.embedded.corpus import SKEW

CARRIED = Path(corpus.__file__).with_name("carried")


@pytest.fixture(scope="module")
def crowd():
    return people(1500, "u", np.random.default_rng(0))


def habits():
    """The untrained policy's shares of styles, as its corpus sets them."""
    out = {}
    for kind, skew in SKEW.items():
        choices = [[1 - p, p] for p in skew]
        out[kind] = {s: float(np.prod(c)) for s, c in zip(STYLES, product(*choices), strict=True)}
    return out


def test_no_constant_style_gains_more_than_ten_points_over_the_untrained_policy(crowd):
    untrained = of_habits(crowd, habits())
    for style in STYLES:
        constant = sum(mean_satisfaction(crowd, kind, style) for kind in NORMS) / len(NORMS)
        assert constant - untrained <= 0.10


def test_the_best_style_by_kind_stands_forty_points_above_the_untrained_policy(crowd):
    assert ceilings(crowd).by_kind - of_habits(crowd, habits()) >= 0.40


def test_the_lines_are_in_order_and_the_best_by_kind_are_the_norms(crowd):
    lines = ceilings(crowd)
    assert lines.constant < lines.by_kind < lines.optimum
    assert lines.styles_by_kind == NORMS


def test_where_most_people_want_the_same_a_constant_style_gains_too_much():
    """Control: the measure that passes the balanced world fails an unbalanced one."""
    same = {kind: ("brief", "prose", "metric") for kind in NORMS}
    crowd = [type(p)(p.id, same, p.costs) for p in people(200, "u", np.random.default_rng(2))]
    assert ceilings(crowd).constant - of_habits(crowd, habits()) > 0.10


def sampled():
    """The untrained policy's shares of styles among its right answers, as they were measured on the carried base."""
    styles = json.loads((CARRIED / "probe.json").read_text(encoding="utf-8"))["styles"]
    return {
        kind: {tuple(name.split("/")): share / sum(row.values()) for name, share in row.items()}
        for kind, row in styles.items()
    }


def test_the_carried_base_leaves_forty_points_to_learn_by_kind_and_ten_at_most_to_a_constant_style(crowd):
    """Evidence, word for word, with the base that the demonstration serves and not with the corpus it was meant to."""
    found = sampled()
    assert {kind: set(row) for kind, row in found.items()} == {kind: set(STYLES) for kind in NORMS}
    untrained, lines = of_habits(crowd, found), ceilings(crowd)
    assert lines.constant - untrained <= 0.10
    assert lines.by_kind - untrained >= 0.40


def test_a_base_that_already_had_the_norms_would_leave_nothing_to_learn(crowd):
    """Control: the demand refuses a base with other habits."""
    norms = {kind: {style: float(style == NORMS[kind]) for style in STYLES} for kind in NORMS}
    assert ceilings(crowd).by_kind - of_habits(crowd, norms) < 0.01

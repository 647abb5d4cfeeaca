"""The balance of the world: evidence, "The demo's world"."""

from collections import Counter

import numpy as np
import pytest
from rejoinder.simulate.tastes import ATTRIBUTES, NORMS, Person, Reading, opposite, people


def test_there_are_at_least_three_kinds_and_three_attributes():
    assert len(NORMS) >= 3
    assert len(ATTRIBUTES) >= 3


def test_each_pole_is_the_norm_of_half_of_the_kinds():
    for at, pair in enumerate(ATTRIBUTES.values()):
        counts = Counter(norm[at] for norm in NORMS.values())
        assert counts[pair[0]] == counts[pair[1]] == len(NORMS) / 2


def test_over_many_people_each_pole_is_wanted_equally_often():
    crowd = people(4000, "u", np.random.default_rng(0))
    for at, pair in enumerate(ATTRIBUTES.values()):
        wanted = np.mean([p.tastes[kind][at] == pair[0] for p in crowd for kind in NORMS])
        assert abs(wanted - 0.5) < 0.015


def test_a_user_departs_from_the_norm_of_a_kind_on_about_one_attribute_in_six():
    crowd = people(4000, "u", np.random.default_rng(1))
    departs = [w != n for p in crowd for k, norm in NORMS.items() for w, n in zip(p.tastes[k], norm, strict=True)]
    assert np.mean(departs) == pytest.approx(1 / 6, abs=0.01)


def test_wrong_facts_displease_whatever_the_style():
    person = Person("u", NORMS, (0.6, 0.6, 0.6))
    style = NORMS["howto"]
    right, wrong = (person.satisfaction("howto", Reading(style, right)) for right in (True, False))
    assert right > 0.9
    assert wrong < 0.25


def test_every_mismatch_costs_and_is_named():
    person = Person("u", NORMS, (0.6, 0.6, 0.6))
    style = list(NORMS["measure"])
    before = person.satisfaction("measure", Reading(tuple(style), True))
    for at, pole in enumerate(NORMS["measure"]):
        style[at] = opposite(pole)
        reading = Reading(tuple(style), True)
        assert person.satisfaction("measure", reading) < before
        assert person.displeased_by("measure", reading) == NORMS["measure"][: at + 1]
        before = person.satisfaction("measure", reading)


def test_the_same_seed_makes_the_same_people_and_another_seed_others():
    crowds = [people(20, "u", np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert crowds[0] == crowds[1]
    assert crowds[0] != crowds[2]

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
from rejoinder.training.embedded.facts import ATTRIBUTES, KINDS, Style, load

STYLES = [Style(*poles) for poles in product(*ATTRIBUTES.values())]
FACTS = load()
# Exact factors; measures given in books are rounded in both units, so a per cent or a degree is allowed.
FACTOR = {"feet": 0.3048, "miles": 1.609344, "pounds": 0.45359237}
SCALE = {"metres": 1.0, "metre": 1.0, "kilometres": 1.0, "kilograms": 1.0, "kilometre": 1.0}


def test_there_are_at_least_three_kinds_in_equal_numbers_and_three_attributes():
    counts = Counter(f.kind for f in FACTS)
    assert tuple(counts) == KINDS
    assert len(set(counts.values())) == 1
    assert len(KINDS) >= 3
    assert len(ATTRIBUTES) >= 3


@pytest.mark.parametrize("fact", FACTS, ids=lambda f: f.topics[0])
def test_both_units_tell_the_same_quantity(fact):
    metric, m_unit = re.match(r"(\d+) (.+)", fact.metric).groups()
    imperial, i_unit = re.match(r"(\d+) (.+)", fact.imperial).groups()
    if "Celsius" in m_unit:
        assert i_unit == "degrees Fahrenheit"
        assert int(imperial) == pytest.approx(int(metric) * 1.8 + 32, abs=6)
        return
    small = FACTOR[i_unit.split()[0]]
    if m_unit.split()[0] == "kilometres" and i_unit == "feet":
        small /= 1000
    assert int(imperial) * small == pytest.approx(int(metric), rel=0.035, abs=0.6)


@pytest.mark.parametrize("fact", FACTS, ids=lambda f: f.topics[0])
def test_styles_differ_and_a_detailed_answer_is_longer_than_any_brief_one(fact):
    rng = np.random.default_rng(0)
    answers = {s: {fact.answer(s, rng) for _ in range(12)} for s in STYLES}
    texts = [a for options in answers.values() for a in options]
    assert len(texts) == len(set(texts))
    for style, options in answers.items():
        for answer in options:
            words = len(answer.replace("- ", "").split())
            assert words <= 17 if style.length == "brief" else words >= 19
            assert answer.startswith("- ") == (style.layout == "bullets")
            assert (fact.metric in answer) == (style.units == "metric")
            assert (fact.imperial in answer) == (style.units == "imperial")
            assert fact.subject.lower() in answer.lower()


def test_a_wish_changes_its_attribute_and_no_other():
    style = Style("brief", "prose", "metric")
    assert style.having(["bullets"]) == Style("brief", "bullets", "metric")
    assert style.having(["bullets", "prose", "imperial"]) == Style("brief", "prose", "imperial")
    assert style.having([]) == style

import pytest
from rejoinder.core.types import Reason
from rejoinder.signals.agreement import agree, f1_by_reason, overlap
from sklearn.metrics import f1_score


def test_f1_by_reason_agrees_with_scikit_learn():
    given = [{"a"}, {"a", "b"}, set(), {"b"}, {"c"}]
    said = [{"a"}, {"b"}, {"a"}, {"b"}, set()]
    mine = f1_by_reason(given, said)
    for name in "abc":
        theirs = f1_score([name in g for g in given], [name in s for s in said], zero_division=0)
        assert mine[name] == pytest.approx(theirs)
    assert set(f1_by_reason(given, said, least=2)) == {"a", "b"}


def test_overlap_is_intersection_over_union_of_characters():
    assert overlap((0, 10), (0, 10)) == 1.0
    assert overlap((0, 10), (5, 15)) == pytest.approx(1 / 3)
    assert overlap((0, 4), (6, 9)) == 0.0


def test_the_floor_stands_beside_the_readings():
    record = {"followup": "thanks!", "reasons": [{"reason": "gratitude", "start": 0, "end": 6}]}
    right = agree([record], [[Reason("gratitude", 0.9, 0, 6)]], least=1)
    wrong = agree([record], [[Reason("style", 0.9, 0, 6)]], least=1)
    assert (right["macro_f1"], right["span_overlap"], right["keyword_macro_f1"]) == (1.0, 1.0, 1.0)
    assert (wrong["macro_f1"], wrong["keyword_macro_f1"]) == (0.0, 1.0)

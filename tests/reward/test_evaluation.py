from __future__ import annotations

import numpy as np
import pytest
from rejoinder.reward.evaluation import auc, evaluate


def record(pref, a="x", b="y", group="g"):
    return {"id": "1", "group": group, "messages": [], "a": a, "b": b, "pref": pref}


def drawn(n, scale=1.0, seed=0, said=1.0):
    """Pairs whose outcome has log odds m; the head says said · m."""
    rng = np.random.default_rng(seed)
    m = rng.normal(size=n) * scale
    won = rng.random(n) < 1 / (1 + np.exp(-m))
    return [record(float(w), group=str(i)) for i, w in enumerate(won)], said * m


def test_accuracy_skips_ties_and_counts_a_margin_of_zero_as_half():
    records = [record(1), record(0), record(0.5), record(0.67)]
    figures = evaluate(records, np.array([2.0, 1.0, 5.0, 0.0]))
    assert (figures["n"], figures["ties"]) == (3, 1)
    assert figures["accuracy"] == pytest.approx((1 + 0 + 0.5) / 3)


def test_auc_is_the_share_of_pairs_of_pairs_in_the_right_order():
    margin, y = np.array([3.0, 1.0, 1.0, -2.0]), np.array([1, 1, 0, 0])
    by_hand = (1 + 1 + 0.5 + 1) / 4
    assert auc(margin, y) == by_hand
    assert np.isnan(auc(margin, np.ones(4)))


def test_exchanging_a_and_b_everywhere_changes_no_accuracy():
    records, margin = drawn(200)
    swapped = [{**r, "pref": 1 - r["pref"]} for r in records]
    assert evaluate(records, margin)["accuracy"] == evaluate(swapped, -margin)["accuracy"]


def test_a_length_rule_is_seen_through_by_length_matched_accuracy_f03():
    """People prefer the longer one where lengths differ and toss a coin where they do not."""
    rng = np.random.default_rng(0)
    records = []
    for i in range(600):
        lengths = (100, 105) if i % 2 else rng.permutation([rng.integers(10, 40), rng.integers(200, 400)])
        a, b = "x" * lengths[0], "y" * lengths[1]
        pref = float(rng.random() < 0.5) if i % 2 else float(len(a) > len(b))
        records.append(record(pref, a, b, str(i)))
    by_length = np.array([np.log1p(len(r["a"])) - np.log1p(len(r["b"])) for r in records])
    figures = evaluate(records, by_length)
    assert figures["accuracy"] == figures["longer_wins"] > 0.7
    assert abs(figures["length_matched_accuracy"] - 0.5) < 0.1
    assert figures["length_correlation"] == pytest.approx(1.0)
    assert abs(evaluate(records, rng.normal(size=600))["length_correlation"]) < 0.12


def test_a_calibrated_head_stays_under_its_null_and_an_overconfident_one_does_not():
    honest = [evaluate(*drawn(400, seed=s), draws=200) for s in range(20)]
    assert sum(f["ece"] > f["ece_null_95"] for f in honest) <= 4
    assert np.mean([f["slope"] for f in honest]) == pytest.approx(1.0, abs=0.1)
    assert np.mean([f["ece_debiased"] for f in honest]) < 0.05
    loud = evaluate(*drawn(400, said=4.0), draws=200)
    assert loud["ece"] > loud["ece_null_95"]
    assert loud["slope"] == pytest.approx(0.25, abs=0.08)
    assert loud["brier"] > honest[0]["brier"]


def test_the_interval_is_over_groups_and_so_wider_where_few_groups_hold_many_pairs():
    records, margin = drawn(400)
    alone = evaluate(records, margin)
    # One group holds the pairs the head gets right, another those it does not, and so on.
    right = np.argsort([(m > 0) == (r["pref"] > 0.5) for r, m in zip(records, margin, strict=True)])
    few = evaluate([{**records[i], "group": str(at // 50)} for at, i in enumerate(right)], margin[right])
    assert few["accuracy_high"] - few["accuracy_low"] > 3 * (alone["accuracy_high"] - alone["accuracy_low"])


def test_too_few_pairs_give_no_calibration_figure():
    assert np.isnan(evaluate(*drawn(10))["ece"])

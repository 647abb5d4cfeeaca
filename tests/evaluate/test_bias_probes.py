"""evaluate/bias_probes: what a judge who follows a probe is found to do, and one who does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.types import Message, Role
from rejoinder.evaluate.bias_probes import Probe, load, mcnemar, probe_report
from rejoinder.evaluate.judged import JudgedPair
from rejoinder.evaluate.judges import Asked, OrderAveraged
from rejoinder.evaluate.shares import wilson
from scipy.stats import binomtest

PAIRS = [JudgedPair(str(i), f"u{i}", (Message(Role.USER, "?"),), f"good {i}", f"bad {i}") for i in range(60)]
PROBES = load()


class Rule:
    """Answers by a rule of its own."""

    def __init__(self, rule: Callable[[Asked], float]) -> None:
        self._rule = rule

    def prefers(self, asked: Sequence[Asked]) -> np.ndarray:
        return np.array([self._rule(each) for each in asked])


def honest(asked: Asked) -> float:
    return float("good" in asked.first) - float("good" in asked.second)


def test_every_probe_of_the_file_stands_before_one_answer() -> None:
    assert [p.name for p in PROBES] == ["plain", "bandwagon", "authority", "distraction", "reflection"]
    for probe in PROBES:
        chosen, rejected = probe.put(PAIRS[0])
        assert (chosen.endswith(" good 0"), rejected.endswith(" bad 0")) == (
            probe.side == "right",
            probe.side == "wrong",
        )
        assert len({probe.put(pair)[0][:-8] + probe.put(pair)[1][:-8] for pair in PAIRS}) >= 3


def test_whom_nothing_moves_has_no_bias_and_an_interval_that_is_no_point() -> None:
    report = probe_report(Rule(honest), PAIRS)
    assert (report["n"], report["before"]["value"]) == (60, 1.0)
    for row in report["probes"].values():
        assert (row["bias"]["value"], row["robustness"]["value"], row["p"], row["alarm"]) == (0, 1, 1, False)
        assert row["bias"]["low"] < 0 < row["bias"]["high"]


def test_whoever_follows_a_crowd_is_found_by_that_probe_alone() -> None:
    crowd = next(p for p in PROBES if p.name == "bandwagon").texts

    def follows(asked: Asked) -> float:
        said = [float(text.startswith(crowd)) for text in (asked.first, asked.second)]
        return said[0] - said[1] or honest(asked)

    report = probe_report(Rule(follows), PAIRS)
    assert [name for name, row in report["probes"].items() if row["alarm"]] == ["bandwagon"]
    row = report["probes"]["bandwagon"]
    assert (row["bias"]["value"], row["beyond_plain"]["value"], row["turned_wrong"]) == (1, 1, 60)
    assert (row["after"]["value"], row["robustness"]["value"]) == (0, 0)


@pytest.mark.parametrize(("place", "bias"), [(1.0, 1.0), (-1.0, -1.0)])
def test_a_place_that_wins_is_found_and_both_orders_undo_it(place: float, bias: float) -> None:
    report = probe_report(Rule(lambda asked: place), PAIRS)
    row = report["probes"]["position"]
    assert (row["bias"]["value"], row["robustness"]["value"], row["alarm"]) == (bias, 0, True)
    averaged = probe_report(OrderAveraged(Rule(lambda asked: place + 0.1 * honest(asked))), PAIRS)
    assert averaged["probes"]["position"]["robustness"]["value"] == 1.0
    assert averaged["before"]["value"] == 1.0


def test_a_judge_turned_right_by_a_probe_is_no_alarm() -> None:
    plain = next(p for p in PROBES if p.name == "plain").texts
    report = probe_report(Rule(lambda a: float(a.second.startswith(plain)) - float(a.first.startswith(plain))), PAIRS)
    row = report["probes"]["plain"]
    assert row["p"] < 0.001
    assert not row["alarm"]


def test_ties_and_what_has_no_verdict_are_counted_apart() -> None:
    tied = JudgedPair("t", "u", PAIRS[0].prompt, "good", "bad", tie=True)
    silent = Rule(lambda asked: float("nan") if " 7" in asked.first + asked.second else honest(asked))
    report = probe_report(silent, [*PAIRS[:10], tied])
    assert (report["n"], report["ties"], report["unanswered"]) == (9, 1, 1)
    nobody = probe_report(Rule(lambda asked: float("nan")), PAIRS)
    assert (nobody["n"], nobody["unanswered"], nobody["probes"]) == (0, 60, {})
    assert probe_report(Rule(honest), [tied])["probes"] == {}


def test_one_users_pairs_are_one_turn_of_the_test() -> None:
    crowd = next(p for p in PROBES if p.name == "bandwagon").texts
    rule = Rule(lambda a: float(a.first.startswith(crowd)) - float(a.second.startswith(crowd)) or honest(a))
    same = [JudgedPair(p.id, "one", p.prompt, p.chosen, p.rejected) for p in PAIRS]
    row = probe_report(rule, same)["probes"]["bandwagon"]
    assert (row["p"], row["alarm"]) == (1.0, False)


def test_the_tests_are_scipys() -> None:
    for wrong, right in [(0, 0), (5, 0), (3, 3), (40, 22), (900, 1100)]:
        expected = binomtest(wrong, wrong + right).pvalue if wrong + right else 1.0
        assert mcnemar(wrong, right) == pytest.approx(expected, rel=1e-9)
    for hits, n in [(0, 9), (9, 9), (30, 70)]:
        low, high = binomtest(hits, n).proportion_ci(method="wilson")
        found = wilson(hits, n)
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        '{"probes": []}',
        '{"probes": [{"name": "x"}]}',
        json.dumps({"probes": [{"name": "x", "side": "left", "claim": "", "texts": ["a"]}]}),
        json.dumps({"probes": 2 * [{"name": "x", "side": "right", "claim": "", "texts": ["a"]}]}),
    ],
)
def test_a_bad_file_of_probes_is_one_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(content)
    with pytest.raises(BadFile):
        load(file)


def test_own_probes_are_taken_as_they_are() -> None:
    own = (Probe("shout", "wrong", "it shouts", ("LOOK!",)),)
    report = probe_report(Rule(lambda a: float("LOOK" in a.first) - float("LOOK" in a.second) or honest(a)), PAIRS, own)
    assert list(report["probes"]) == ["position", "shout"]
    assert report["probes"]["shout"]["beyond_plain"] is None
    assert report["probes"]["shout"]["alarm"]

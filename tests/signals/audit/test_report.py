"""signals/audit/report: what is blank is left out, what is not covered is said."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.signals.audit.report import report
from rejoinder.signals.audit.sheet import Design, Read

READS = {
    **{f"s{i}": Read("SAT", (0.1, 0.1, 0.8), 0.8) for i in range(20)},
    **{f"n{i}": Read("none", (0.1, 0.8, 0.1), 0.8) for i in range(20)},
    **{f"u{i}": Read(UNKNOWN_LANGUAGE, (0.33, 0.34, 0.33), 0.34) for i in range(5)},
}
DESIGN = Design("minilm", "m", "m", 0, {"DSAT": 0, "none": 300, "SAT": 600, UNKNOWN_LANGUAGE: 100}, READS)


def test_figures_are_of_the_strata_that_have_labels() -> None:
    given = {name: "SAT" if name[0] == "s" or name == "n0" else "none" for name in READS if name[0] != "u"}
    found = report(DESIGN, given, 0.8)
    assert (found.covered, found.unknown_language) == (0.9, 100)
    assert found.labelled == {"DSAT": 0, "none": 20, "SAT": 20, UNKNOWN_LANGUAGE: 0}
    assert found.drawn[UNKNOWN_LANGUAGE] == 5
    # 600 hits and 300 / 20 missed.
    assert found.figures["recall_SAT"].value == pytest.approx(600 / 615)
    assert found.figures["precision_SAT"].value == 1.0
    # Nobody was read as DSAT, and nobody was.
    assert all(math.isnan(part) for part in astuple(found.figures["recall_DSAT"]))
    # The same labels, the same figures: NaN is unequal to itself.
    assert str(report(DESIGN, given, 0.8)) == str(found)


def test_one_label_is_enough_to_be_read() -> None:
    found = report(DESIGN, {"s1": "SAT"}, 0.8)
    assert found.figures["accuracy"].value == 1.0
    assert found.figures["accuracy"].low < 0.9
    assert not found.refit.helps


def test_turns_that_were_not_read_change_no_probability() -> None:
    read = {name: "SAT" if name[0] == "s" else "none" for name in READS if name[0] != "u"}
    unread = {name: "DSAT" for name in READS if name[0] == "u"}
    with_them, without = report(DESIGN, {**read, **unread}, 0.8), report(DESIGN, read, 0.8)
    assert with_them.refit == without.refit
    assert with_them.figures["recall_DSAT"].value == 0.0
    alone = report(DESIGN, unread, 0.8)
    assert not alone.refit.helps
    assert alone.refit.found.temperature == 1.0

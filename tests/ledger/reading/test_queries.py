"""ledger/queries: satisfaction, joining (F07, F08, U04, U06, U22)."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core import types
from rejoinder.core.errors import UnknownRow
from rejoinder.ledger.reading.queries import bootstrap


def talk(bench, name: str, polarity: str = "", **fields):
    """An answer, and what was said about it where a polarity is given."""
    user = fields.get("user_id", "ann")
    out = [bench.answer(name, **fields)]
    if polarity:
        out.append(bench.said(f"f-{name}", name, user_id=user))
        reasons = (types.Reason("dsat.unit", 0.9),) if polarity == "DSAT" else ()
        out.append(bench.signal(f"f-{name}", name, polarity, user_id=user, reasons=reasons))
    return out


def filled(bench, *talks):
    ledger = bench.ledger()
    ledger.project(bench.of(*(event for talk in talks for event in talk)))
    return ledger


def test_silence_is_no_label_and_users_weigh_the_same(bench) -> None:
    loud = [talk(bench, f"x{n}", "SAT") for n in range(9)]
    ledger = filled(bench, *loud, talk(bench, "y", "DSAT", user_id="bob"), talk(bench, "z", user_id="carl"))
    (row,) = ledger.satisfaction("t")
    assert (row.interactions, row.replied, row.sat, row.dsat, row.users) == (11, 10, 9, 1, 2)
    assert row.satisfaction == 0.5
    assert (row.low, row.high) == (0.0, 1.0)


def test_groups_are_versions_arms_days_sources_extractors_and_reasons(bench) -> None:
    ledger = filled(
        bench,
        talk(bench, "x1", "SAT"),
        talk(bench, "x2", "DSAT", version="v2", after=86_400.0, source="observe"),
        talk(bench, "x3", user_id="bob"),
    )

    def groups(by: str) -> dict[str, tuple[int, int, int]]:
        return {row.group: (row.interactions, row.sat, row.dsat) for row in ledger.satisfaction("t", by)}

    assert groups("version") == {"v1": (2, 1, 0), "v2": (1, 0, 1)}
    assert groups("arm") == {"STABLE": (3, 1, 1)}
    assert groups("day") == {"2023-11-14": (2, 1, 0), "2023-11-15": (1, 0, 1)}
    assert groups("source") == {"": (2, 1, 0), "observe": (1, 0, 1)}
    assert groups("extractor") == {"x": (3, 1, 1)}
    assert groups("reason") == {"dsat.unit": (1, 0, 1)}
    with pytest.raises(UnknownRow, match="version"):
        groups("user")


def test_a_second_judge_is_in_no_satisfaction_and_stands_beside_the_first_by_name(bench) -> None:
    second = bench.signal("f-x1", "x1", "DSAT", after=99.0, extractor="audit-lexicon")
    ledger = filled(bench, [*talk(bench, "x1", "SAT"), second])
    (row,) = ledger.satisfaction("t")
    assert (row.sat, row.dsat) == (1, 0)
    by = {row.group: (row.sat, row.dsat) for row in ledger.satisfaction("t", "extractor")}
    assert by == {"x": (1, 0), "audit-lexicon": (0, 1)}


def test_the_latest_signal_that_says_something_speaks_for_an_answer(bench) -> None:
    events = [
        bench.answer("x1"),
        bench.said("f1", "x1"),
        bench.said("f2", "x1", after=30.0),
        bench.signal("f1", "x1", "DSAT", after=10.0),
        bench.signal("f2", "x1", "SAT", after=30.0),
        bench.signal("f2", "x1", "NONE", after=31.0, extractor="y"),
    ]
    (row,) = filled(bench, events).satisfaction("t")
    assert (row.sat, row.dsat, row.none) == (1, 0, 0)


def test_a_window_of_time_and_crossed_turns_can_be_left_out(bench) -> None:
    ledger = filled(
        bench,
        talk(bench, "x1", "SAT", conversation_id="c", turn=1),
        talk(bench, "x2", "DSAT", conversation_id="c", turn=2, version="v2", after=100.0),
    )
    (row,) = ledger.satisfaction("t", until=bench.now + 50.0)
    assert (row.interactions, row.sat) == (1, 1)
    (row,) = ledger.satisfaction("t", since=bench.now + 50.0)
    assert (row.interactions, row.dsat) == (1, 1)
    (row,) = ledger.satisfaction("t", leave_out_crossed=True)
    assert row.interactions == 1


def test_another_tenants_events_are_in_no_figure(bench) -> None:
    ledger = filled(bench, talk(bench, "x1", "SAT"))
    assert ledger.satisfaction("other") == []
    assert ledger.joining("other").rate == 1.0


def test_unlinked_feedback_is_counted_by_cause(bench) -> None:
    ledger = filled(
        bench,
        [
            bench.answer("x1"),
            bench.said("f1", "x1"),
            bench.said("f2", "nowhere"),
            bench.said("f3", ""),
            bench.said("f4", "", answer_digest="0" * 64),
        ],
    )
    found = ledger.joining("t")
    assert found.unlinked == {"target_unknown": 1, "no_reference": 1, "digest_unknown": 1}
    assert found.rate == 0.25


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        _, low, high = bootstrap(rng.beta(2, 1, 60), rng)
        covered += low <= 2 / 3 <= high
    assert 85 <= covered <= 100

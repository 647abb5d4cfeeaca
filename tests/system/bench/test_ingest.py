"""loadtests/ingest in its short form: every row is there, and every event that was acknowledged lies in the topic."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from loadtests import report
from loadtests.ingest import __main__ as bench
from loadtests.ingest.soak import Memory, soak
from loadtests.report import Row
from tests.brokers import shared

pytestmark = pytest.mark.system

DEMANDED = {
    "batch 100 / raw producer": 1.7,
    "batch 1 / (empty unary call + raw send)": 1.5,
    "batch 100 / FastAPI at one event a request": 0.1,
    "batch 1 / FastAPI at one event a request": 0.1,
    "batch 100 / FastAPI at 100 a request": 1.0,
}


def test_rows_have_their_demands_and_every_acknowledged_event_lies_in_the_topic_once(tmp_path: Path) -> None:
    """U02. `measured` itself looks for each event; a figure in microseconds is nothing to assert on a busy machine."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    costs = bench.measured(tmp_path, shared(), prefix, rounds=1, events=400, peers=True)
    rows = bench.rows_of(costs)
    assert {row.name: row.demand for row in rows if row.demand is not None} == DEMANDED
    assert all(row.ours > 0 and row.peer > 0 for row in rows)
    with pytest.raises(RuntimeError, match="are missing"):
        bench.check_stored(shared(), prefix, {"ours-100": 800, "never": 1})


def test_a_soak_tells_the_memory_of_its_two_halves(tmp_path: Path) -> None:
    memory = soak(tmp_path, shared(), f"t{uuid.uuid4().hex[:12]}", 1.0, 500.0)
    assert memory.events == 500
    assert memory.half > 10 << 20
    assert bench.grown(memory).demand == 1.02


def test_a_report_says_what_was_met_and_what_was_not(tmp_path: Path) -> None:
    rows = [Row("a", 16.0, 10.0, "µs", 1.7), Row("b", 18.0, 10.0, "µs", 1.7), Row("c", 1.0, 2.0, "1/s")]
    report.write(tmp_path / "new" / "ingest.json", rows, facts=report.machine())
    read = json.loads((tmp_path / "new" / "ingest.json").read_text("utf-8"))
    assert [row["met"] for row in read["rows"]] == [True, False, None]
    assert set(read["rows"][0]) == {"name", "ours", "peer", "unit", "ratio", "demand", "met"}
    table = report.table(rows, {"cores": 2})
    assert "| a | 16.0 | 10.0 | µs | 1.600 | ≤ 1.7 | yes |" in table
    assert "**no**" in table


def test_growth_beyond_two_percent_is_not_met() -> None:
    grown = bench.grown(Memory(600.0, half=100 << 20, end=103 << 20, events=600_000))
    assert (grown.met, bench.grown(Memory(600.0, 100 << 20, 102 << 20, 1)).met) == (False, True)

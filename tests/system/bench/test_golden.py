"""The load tester as it is run: processes that send, a golden server over a socket, one report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from loadtests.__main__ import MET, main
from loadtests.golden.script import Script
from loadtests.openloop.arrivals import times
from loadtests.openloop.scenario import read
from loadtests.processes import Measured

pytestmark = pytest.mark.system

SCENARIO = """
work: golden
arrivals: {kind: poisson, rate: 120}
deadline_s: 60.0
seconds: 1.5
warm_up_s: 0.5
processes: 2
max_lag_s: 30.0
"""


def test_counts_errors_and_delays_of_a_golden_server_are_found_as_they_are(tmp_path: Path, monkeypatch, capsys) -> None:
    """Counts are exact; a delay can only seem longer, by what the machine takes."""
    file, out = tmp_path / "golden.yaml", tmp_path / "load.json"
    file.write_text(SCENARIO)
    script = Script(delays_s=(0.05, 0.1), refused_every=10, wrong_every=25)
    with Measured("golden", tmp_path, ("-m", "loadtests.golden.server", script.model_dump_json())) as server:
        said = [str(file), "--out", str(out), "--address", f"golden=127.0.0.1:{server.port}"]
        monkeypatch.setattr(sys, "argv", ["loadtests", *said])
        assert main() == MET
    scenario = read(file)
    starts = times(scenario.arrivals, 2.0, scenario.seed)
    counted = [number for number, at in enumerate(starts) if at >= scenario.warm_up_s]
    refused = [number for number in counted if number % 10 == 0]
    wrong = [number for number in counted if number % 10 and number % 25 == 0]
    report = json.loads(out.read_text("utf-8"))
    step = report["steps"]["ask"]
    assert report["valid"]
    assert step["offered"] == len(counted)
    assert step["answered"] == len(counted) - len(refused) - len(wrong)
    assert {reason: times["count"] for reason, times in step["errors"].items()} == {
        "RESOURCE_EXHAUSTED QUEUE_FULL": len(refused),
        "WRONG_ANSWER": len(wrong),
    }
    assert step["latency_ms"]["p50"] >= 50
    assert step["latency_ms"]["p99"] >= 100
    assert "| ask |" in capsys.readouterr().out

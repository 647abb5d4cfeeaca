"""chaos/run: what reports/chaos.json says of scenarios that were counted, could not be done here, or failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import run
from tests.chaos.scenarios.row import Outcome, Planted, Scenario, Skipped, Unproven
from tests.chaos.scenarios.site import Site
from tests.chaos.scenarios.table import SCENARIOS

#: What the report promises, in its order.
KEYS = [
    "name",
    "proves",
    "acknowledged",
    "stored",
    "lost",
    "duplicated",
    "unacked_stored",
    "generate_errors",
    "skipped",
]
#: Each fault that a whole run puts in, and what is taken away by it.
FAULTS = {
    "broker_leader_killed": "broker",
    "two_of_three_brokers_down": "broker",
    "slow_broker": "broker",
    "feedback_killed": "process",
    "policy_killed": "process",
    "rerank_killed": "process",
    "gateway_killed": "process",
    "signals_killed": "process",
    "observe_killed": "process",
    "projector_killed_mid_batch": "process",
    "postgres_killed": "process",
    "worker_killed_inside_a_transaction": "process",
    "worker_woken_inside_a_transaction": "process",
    "partition": "network",
    "broker_disk_full": "volume",
    "spool_disk_full": "volume",
    "shifted_clock": "process",
    "duplicate_delivery": "process",
    "rebalance_storm": "process",
    "fenced_producer": "process",
    "stale_leader_then_compaction": "process",
    "ten_thousand_three_times": "process",
}


class Nowhere(Site):
    """Brokers and a database that no scenario here asks for."""

    def __init__(self) -> None:
        """Nothing is started."""

    def heal(self) -> None:
        """Nothing was broken."""


def counted(site: Site, events: int) -> Outcome:
    return Outcome(acknowledged=events, stored=events + 1, unacked_stored=1, evidence={"kills": 3})


def not_here(site: Site, events: int) -> Outcome:
    raise Skipped("needs root")


def not_proven(site: Site, events: int) -> Outcome:
    raise Unproven("the broker lives")


def test_a_row_has_the_promised_keys_and_a_scenario_that_failed_does_not_read_as_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = {"counted": counted, "not_here": not_here, "not_proven": not_proven}
    monkeypatch.setattr(run, "SCENARIOS", [Scenario(name, "process", "F06", does) for name, does in made.items()])
    monkeypatch.setattr(run, "PLANTED", [Planted("found", "lost", lambda site, events: Outcome(9, 8, lost=1))])
    report = run.measured(Nowhere(), None, 3_000)
    said = run.published(report)
    assert list(said) == ["scenarios"]
    assert [list(row) for row in said["scenarios"]] == [KEYS] * 3
    assert [row["skipped"] for row in said["scenarios"]] == ["", "needs root", "failed: Unproven: the broker lives"]
    first = said["scenarios"][0]
    assert (first["stored"] - first["acknowledged"], first["unacked_stored"]) == (1, 1)
    assert not report["green"]
    assert [row["caught"] for row in report["planted"]] == [True]


def test_every_fault_of_the_plan_is_a_scenario() -> None:
    there = {each.name: each.proves for each in SCENARIOS}
    assert FAULTS.items() <= there.items()


def test_whoever_asks_for_a_report_gets_the_evidence_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SCENARIOS", [])
    monkeypatch.setattr(run, "PLANTED", [])
    monkeypatch.setattr(run, "own_mounts", lambda: None)
    monkeypatch.setattr(run, "Site", lambda folder: Opened())
    monkeypatch.setattr("sys.argv", ["run", "--out", str(tmp_path / "chaos.json"), "--events", "0"])
    assert run.main() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chaos-evidence.json", "chaos.json"]


class Opened(Nowhere):
    def __enter__(self) -> Site:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was opened."""

"""cli/rollout: what would it take, start, look, decide; a person's mistake is one friendly line."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main
from rejoinder.cli.rollout import planned, show
from rejoinder.clients.rollouts import ArmFigures, Hop, Rollout, Shadow, ShadowVeto, Verdict, VetoArm, VetoFigures
from rejoinder.core.clock import SystemClock
from rejoinder.core.metrics import Metrics
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollouts.service import RolloutService
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import ServerSettings
from rejoinder.v1.rollouts_pb2_grpc import add_RolloutServiceServicer_to_server

from tests.rollouts.world import World

NOW = 1_700_000_000.0
PLAN = RolloutPlan(steps=(PlanStep(0.2, 60.0, 9e6), PlanStep(0.5, 60.0, 9e6)), base_rate=0.8, margin=0.1)


class Served:
    """An engine behind a loopback port, in a thread. owns: both."""

    def __init__(self, world: World) -> None:
        self.engine = world.engine()
        service = RolloutService(self.engine, "assist")

        async def build(chassis: Chassis) -> Room:
            return Room(add=(partial(add_RolloutServiceServicer_to_server, service),))

        events = EventLog(logging.Logger("rollouts", logging.CRITICAL))
        self._server = Server(ServerSettings(), build, Chassis("rollouts", SystemClock(), Metrics(), events))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._wait(self._server.start())
        self.address = f"127.0.0.1:{self._server.port}"

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._wait(self._server.drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    yield made
    made.close()


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    made = Served(world)
    yield made
    made.close()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["rollout", *arguments])
    return ended.value.code


def test_what_a_rollout_would_take_is_told_before_anybody_is_exposed() -> None:
    report = planned(PLAN, {"judged_per_day": 1000.0, "satisfaction": 0.8}, 0.05, NOW)
    assert [step["weight"] for step in report["steps"]] == [0.2, 0.5]
    assert report["judged_per_day"] == 950.0
    assert 200 < report["judged_needed"] < 2000
    assert report["expected_at"].startswith("2023-11-1")
    slow = planned(PLAN, {"judged_per_day": 10.0, "satisfaction": 0.8}, 0.05, NOW)
    assert slow["judged_needed"] == report["judged_needed"]
    assert slow["expected_at"] > report["expected_at"]


def test_a_shadow_phase_is_told_in_plan_and_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rejoinder.cli.datafolder import DataFolder

    with DataFolder(tmp_path / "d", create=True):
        pass
    (tmp_path / "plan.yaml").write_text("shadow_s: 43200\nshadow_share: 0.1\n")
    assert run("plan", "--data", str(tmp_path / "d"), "--plan", str(tmp_path / "plan.yaml")) == 0
    assert "before them 0.5 days of shadow: 0.1 of stable's answers again, 50 at least" in capsys.readouterr().out
    veto = ShadowVeto("length", 900.0, 400.0, True, 64, 1, 33)
    show(Rollout("assist", phase="shadow", shadow=Shadow(NOW, NOW + 60, 64, 50, (veto,), 3, 20.0, 61.5)), False)
    said = capsys.readouterr().out
    assert "64 pairs of at least 50, 3 dropped; mean length 20.0 and 61.5 tokens, until 2023-11-14T22:14" in said
    assert "fired" in said


def test_without_traffic_there_is_a_count_and_no_date() -> None:
    report = planned(PLAN, {"judged_per_day": 0.0, "satisfaction": 0.0}, 0.05, NOW)
    assert report["expected_at"] is None
    assert report["judged_needed"] > 200
    assert report["satisfaction"] == PLAN.base_rate
    assert report["steps"][0]["days"] is None


def test_a_date_that_leaves_the_calendar_is_no_date() -> None:
    assert planned(PLAN, {"judged_per_day": 0.1, "satisfaction": 0.8}, 0.05, NOW)["expected_at"] > "2029"
    assert planned(PLAN, {"judged_per_day": 1e-5, "satisfaction": 0.8}, 0.05, NOW)["expected_at"] is None


def test_a_plan_command_reads_the_rate_off_a_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rejoinder.cli.datafolder import DataFolder

    with DataFolder(tmp_path / "d", create=True):
        pass
    file = tmp_path / "plan.yaml"
    file.write_text("rollout: {margin: 0.1, base_rate: 0.8}")
    assert run("plan", "--data", str(tmp_path / "d"), "--plan", str(file), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["judged_per_day"], report["expected_at"]) == (0.0, None)
    assert run("plan", "--data", str(tmp_path / "d"), "--plan", str(file)) == 0
    assert "judged users still needed; no date at the present rate" in capsys.readouterr().out


def test_a_status_shows_both_arms_the_verdict_and_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Rollout(
        policy="assist",
        term=2,
        generation=9,
        phase="paused",
        stable_version="r41",
        canary_version="r42",
        weight=0.2,
        verdict=Verdict.INCONCLUSIVE,
        reasons=("response_rate",),
        difference=-0.01,
        low=-0.12,
        high=0.1,
        judged_needed=321,
        expected_at=NOW,
        held="inconclusive",
        stable=ArmFigures(90, 40, 0.7, 0.44, 0.31, 0.86),
        canary=ArmFigures(20, 0, 0.0, 0.0, 0.0, 1.0),
        e_worse=1.0,
        e_better=0.25,
        e_ni=7.891,
        e_needed=20.0,
        assigned=Hop(130, 27, 26.0, 1.02),
        matured=Hop(110, 20, 22.0, 1.0),
        vetoes=(
            VetoFigures("failures", 1.5, 300.0, False, True, VetoArm(90, 0.01), VetoArm(20, 0.05)),
            VetoFigures("audit", 0.9, 300.0, False, False, VetoArm(5, -0.1, 1), VetoArm(0, 0.0)),
            VetoFigures("length", 412.0, 300.0, True, True, VetoArm(90, 0.02), VetoArm(20, 0.5)),
        ),
    )
    show(shown, as_json=False)
    said = capsys.readouterr().out
    for words in (
        "assist: paused (inconclusive)",
        "r41",
        "0.800",
        "0.310–0.860",
        "verdict: inconclusive (response_rate); difference -0.010 [-0.120, +0.100]",
        "E-values (20 decides): worse 1, better 0.25, not worse 7.89; "
        "sample ratio (1000 suspends): assigned 1.02 (27 of 130), matured 1 (20 of 110)",
        "Vetoes (mean harm)",
        "90 + 20",
        "not measured, 1 without a second reading",
        "412",
        "fired",
        "321 judged users still needed; expected 2023-11-14T22:13+00:00",
    ):
        assert words in said
    show(shown, as_json=True)
    plain = json.loads(capsys.readouterr().out)
    assert (plain["verdict"], plain["expected_at"]) == ("INCONCLUSIVE", "2023-11-14T22:13+00:00")


def test_a_person_starts_looks_freezes_promotes(
    world: World, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, at = tmp_path / "plan.yaml", ("--address", served.address)
    plan.write_text("approval: canary")
    assert run("start", "r42", "--plan", str(plan), *at) == 0
    world.live(served.engine, 2)
    assert run("status", *at, "--json") == 0
    said = capsys.readouterr().out
    found = json.loads(said[said.index("\n{") :])
    assert (found["canary_version"], found["held"]) == ("r42", "approval")
    assert run("promote", *at, "--generation", "99") == 2
    assert "moved on" in capsys.readouterr().err
    assert run("promote", *at) == 0
    world.live(served.engine, 3, people=1)
    assert run("freeze", *at) == 0
    assert run("freeze", "--off", *at) == 0
    assert run("abort", *at) == 0
    assert "assist: aborted (abort)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status", "--data", "{tmp}/none"), "no rollout engine runs"),
        (("start", "r99", "--address", "{at}"), "holds no versions/assist/r99.json"),
        (("start", "r41", "--address", "{at}"), "r41 is stable already"),
        (("promote", "--address", "{at}"), "no rollout is open"),
        (("status", "--policy", "other", "--address", "{at}"), "another policy"),
        (("start", "r42", "--plan", "{tmp}/none.yaml", "--address", "{at}"), "cannot be read as YAML"),
        (("plan", "--data", "{tmp}/none"), "no data folder yet"),
    ],
)
def test_a_mistake_is_one_line(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    filled = [a.replace("{tmp}", str(tmp_path)).replace("{at}", served.address) for a in arguments]
    assert run(*filled) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1

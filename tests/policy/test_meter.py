"""policy/meter: every figure of the policy process has its name, and a refusal's reason is one of a closed set."""

from __future__ import annotations

import logging
import re
from concurrent.futures import Future
from pathlib import Path

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import ArmKind, Interaction, Served
from rejoinder.policy.meter import Meter
from rejoinder.rollout import lease
from rejoinder.rollout.lease import REFUSALS, ArmsView
from rejoinder.runtime.backends.rows import Answer
from rejoinder.runtime.logging import EventLog


class FakeEngine:
    waiting = 3


class FakeSpool:
    waiting_bytes = 70

    def put(self, interaction: Interaction) -> Future[bool]:
        raise AssertionError("a gauge writes nothing")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def meter(metrics: Metrics) -> Meter:
    return Meter(metrics, EventLog(logging.Logger("test")))


def test_every_reason_of_a_lease_is_a_label() -> None:
    said = set(re.findall(r'Grant\(False, "(\w+)"\)', Path(lease.__file__).read_text()))
    assert said == set(REFUSALS)


def test_gauges_say_what_holds_when_they_are_read(meter: Meter, metrics: Metrics) -> None:
    clock = ManualClock()
    stable, canary = Version("assist-base", "b"), Version("assist-r0001", "c")
    view = ArmsView(ArmsTable(policy="assist", stable=stable), clock)
    view.caught_up()
    meter.watch(view, FakeSpool())
    meter.watch_engine(FakeEngine())  # type: ignore[arg-type]
    assert metrics.value("generation_queue") == 3
    assert metrics.value("spool_bytes") == 70
    assert metrics.value("canary_refused", reason="no_canary") == 1
    now = clock.now()
    table = ArmsTable(
        policy="assist",
        generation=2,
        stable=stable,
        canary=canary,
        steps=(Step(0.5, now),),
        lease=Lease(30.0, now, now + 30),
    )
    view.receive(table, now - 2.0)
    assert sum(metrics.value("canary_refused", reason=reason) for reason in REFUSALS) == 0
    assert metrics.value("arms_skew_s") == pytest.approx(2.0)
    clock.advance(31)
    assert metrics.value("canary_refused", reason="lapsed") == 1
    view.receive(ArmsTable(policy="assist", generation=1, stable=stable), now)
    assert metrics.value("arms_alarms") == 1


def test_counters_count_by_arm_kind_and_cause(meter: Meter, metrics: Metrics) -> None:
    meter.assigned(Served(arm=ArmKind.CANARY))
    meter.drew(ArmKind.STABLE)
    meter.first_text(0.2)
    meter.answered(Answer("x", (1, 2), -1.0, "stop", 5))
    meter.no_room(2)
    meter.rejected(1)
    assert metrics.value("assignments_total", arm="CANARY") == 1
    assert metrics.value("assigned_units_total", arm="STABLE") == 1
    assert metrics.value("time_to_first_token_s") == 1
    assert metrics.value("tokens_total", kind="prompt") == 5
    assert metrics.value("tokens_total", kind="completion") == 2
    assert metrics.value("interactions_dropped_total", cause="no_room") == 2
    assert metrics.value("interactions_dropped_total", cause="rejected") == 1


def test_every_cause_of_a_loss_is_counted_from_nought(metrics: Metrics, meter: Meter) -> None:
    """A rate takes the first sample of a new series for its beginning, so the first loss would raise no alarm."""
    view = ArmsView(ArmsTable(policy="assist", stable=Version("assist-base", "b")), ManualClock())
    meter.watch(view, FakeSpool())
    meter.watch_engine(FakeEngine())  # type: ignore[arg-type]
    for cause in ("no_room", "rejected"):
        assert metrics.registry.get_sample_value("rejoinder_interactions_dropped_total", {"cause": cause}) == 0.0

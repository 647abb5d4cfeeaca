"""rollouts/trail: a point whenever there is more to go by; thinned out, never without its beginning and its end."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.clients.rollouts import TrailPoint, Verdict
from rejoinder.rollouts.memory import Memory
from rejoinder.rollouts.trail import MOST, note, thinned, trail_of

from tests.rollouts.world import phase

POINT = TrailPoint(1.0, 0.1, Verdict.INCONCLUSIVE, 0.02, -0.1, 0.2, 10, 90)


def test_a_look_that_says_nothing_new_leaves_no_point(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db")
    later = replace(POINT, at=2.0)
    for point in (POINT, later, replace(later, judged_canary=11, at=3.0)):
        note(memory, point)
    memory.close()
    again = Memory(tmp_path / "m.db")
    assert [point.at for point in trail_of(again)] == [1.0, 3.0]
    again.write({}, fresh=True)
    assert trail_of(again) == ()
    again.close()


def test_a_long_trail_is_thinned_in_its_older_half() -> None:
    numbers = list(range(MOST))
    gone = thinned(numbers)
    assert thinned(numbers[:-1]) == ()
    assert len(gone) == MOST // 4
    assert 0 not in gone
    assert max(gone) < MOST // 2


def test_a_rollout_s_trail_ends_at_its_verdict(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, until=lambda: phase(engine) == "promoted")
    trail = engine.trail()
    assert len(trail) > 1
    assert trail[0].judged_canary < trail[-1].judged_canary
    assert trail[-1].high - trail[-1].low < trail[0].high - trail[0].low
    assert all(point.low <= point.difference <= point.high for point in trail[1:])


def test_a_trail_that_cannot_be_written_stops_no_decision(world) -> None:
    ports = world.ports()
    ports.memory._file.execute(
        "CREATE TRIGGER full BEFORE INSERT ON trail BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    engine = world.engine(ports=ports)
    engine.start("r42")
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert phase(engine) == "promoted"
    assert engine.trail() == ()


def test_a_point_that_does_not_get_in_leaves_decisions_as_durable_as_before(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db")
    memory._file.execute("PRAGMA busy_timeout=0")
    other = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        note(memory, POINT)
    assert memory._file.execute("PRAGMA synchronous").fetchone() == (2,), "full"
    other.close()
    memory.close()

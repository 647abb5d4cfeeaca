"""kill -9 of the rollout engine at seeded moments of a canary: the lease is renewed or lapses, there is one stable, the
holdout is left alone, and a decision is reached (F11, F13)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.core.arms import Salts, bucket, unit_id
from rejoinder.registry.served import current
from rejoinder.rollout.lease import SKEW_S

from tests.chaos.harness import wait_until
from tests.ownclock import Standstill
from tests.system.rollouts.town import HOLDOUT, PLAN, POLICY, Town, canaries

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

KILLS, SEED = 10, 20_252
#: Between a record's stamp and the moment the replica acts on it: polling and a busy machine, beside the time in which
#: the replica's process, which is this one, stood still (it takes no renewal that is older than SKEW_S).
LATE_S = 1.5
#: No step's deadline falls into the kills, however long the engine's starts take.
STEPS = [{**step, "deadline_s": 1_000.0} for step in PLAN["steps"]]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, ("r42",))
    yield made
    made.close()


def test_an_engine_killed_again_and_again_decides_all_the_same(town: Town) -> None:
    with Standstill() as stood:
        _killed_again_and_again(town)
    _check_tables(town)
    _check_people(town, stood)
    assert town.store.names(f"served/{POLICY}") == ["00000001.json", "00000002.json"]
    assert current(town.store, POLICY).version == "r42"


def _killed_again_and_again(town: Town) -> None:
    rng = random.Random(SEED)
    # So few people come between the kills that the decision falls after the last.
    town.start("r42", min_units=60, steps=STEPS)
    grants: set[str] = set()
    struck = 0
    for number in range(KILLS):
        wait_until(lambda: town.replica.view.grant().ok, "a renewed lease")
        _pass(town, rng, rng.uniform(0.0, 0.8), grants)
        struck += town.status().phase in ("canary", "paused")
        town.rollouts.kill()
        if number % 4 == 3:
            # Nobody renews: everybody is back on stable by the replica's own clock.
            wait_until(lambda: town.replica.view.grant().why == "lapsed", "the lapse")
            _pass(town, rng, 0.1, grants)
        town.rollouts.start()
    assert struck == KILLS
    assert {"", "lapsed"} <= grants
    done = town.until(lambda status: status.phase in ("promoted", "aborted"), {}, rng)
    assert (done.phase, done.stable_version) == ("promoted", "r42")


def _pass(town: Town, rng: random.Random, seconds: float, grants: set[str]) -> None:
    """Time in which two people come and what the replica grants is noted."""
    town.people(2, {}, rng)
    end = time.monotonic() + seconds
    while True:
        grants.add(town.replica.view.grant().why)
        if time.monotonic() >= end:
            return
        time.sleep(0.02)


def _check_tables(town: Town) -> None:
    """One writer after the other, and never a stable that the registry does not know."""
    tables = town.tables()
    orders = [table.order for _, table in tables]
    assert orders == sorted(orders)
    assert len({term for term, _ in orders}) == KILLS + 1
    stables = [table.stable.version for _, table in tables]
    first_new = stables.index("r42")
    assert set(stables[:first_new]) == {"base"}
    assert set(stables[first_new:]) == {"r42"}
    salts = {table.salts.assignment for _, table in tables if table.canary}
    assert len(salts) == 1
    promoted_at = current(town.store, POLICY).at
    assert all(record.timestamp >= promoted_at for record, _ in tables[first_new:])


def _check_people(town: Town, stood: Standstill) -> None:
    """Every canary answer lies within the life of some lease, and none was the holdout's."""
    shown = canaries(town.shown)
    renewed = [record.timestamp for record, table in town.tables() if table.canary]
    ttl, to_monotonic = PLAN["lease_ttl_s"], time.monotonic() - time.time()

    def late(at: float, then: float) -> float:
        stood_s = stood.within(min(at, then) + to_monotonic, max(at, then) + to_monotonic)
        return LATE_S + min(SKEW_S, stood_s)

    for answer in shown:
        then = answer.occurred_at
        assert any(-late(at, then) <= then - at <= ttl + late(at, then) for at in renewed)
    held = [a for a in town.shown if bucket(unit_id("", a.user_id, "", ""), Salts().holdout) < HOLDOUT]
    assert len(shown) > 20
    assert len(held) > 20
    assert not {a.user_id for a in held} & {a.user_id for a in shown}

"""The audit's simulation is the live audit, and says what it does and does not catch."""

import math

import numpy as np
import pytest
from rejoinder.core.types import Polarity
from rejoinder.evaluate import sim_audit as sim
from rejoinder.rollout.audit import Audit
from rejoinder.rollout.units import Audited, UnitScore


def test_the_simulated_veto_fires_at_the_live_ones_unit():
    world = sim.Judges(effect=-0.3, fooled=1.0, share=1.0)
    sample = sim.draw(world, (0.2, 0.5), 1, np.random.default_rng(4))
    audit, at, said = Audit(world.sees), None, (Polarity.DSAT, Polarity.SAT)
    for i in range(sample.a.shape[1]):
        pair = Audited(said[int(sample.first[0, i])], said[int(sample.second[0, i])])
        w, canary = float(sample.w[0, i]), bool(sample.a[0, i])
        audit.add(UnitScore(f"u{i}", canary, w, float(i), 1, None, 1.0, 0.0, 0.0, audited=(pair,)))
        if at is None and audit.test.worse.peak >= math.log(sim.VETOES / sim.ALPHA):
            at = i
    hits = sim.fires(sample, world.sees)[0]
    assert at is not None
    assert at == int(hits.argmax())


def test_equal_arms_seldom_fire():
    found = sim.cell(sim.Judges(share=0.5), (0.2, 0.5), 60, [1])
    assert found["fired_rate"] <= 1 / 60


def test_a_first_judge_that_the_canary_alone_fools_is_caught():
    found = sim.cell(sim.Judges(effect=-0.2, first=1.0, fooled=0.4, share=1.0), (0.5,), 20, [2])
    assert found["fired_rate"] >= 0.95


def test_a_better_version_is_not_vetoed_where_the_plain_difference_would_be():
    """The control that must fire."""
    found = sim.cell(sim.Judges(effect=0.2, first=1.0, share=1.0), (0.5,), 20, [3])
    assert found["fired_rate"] == 0.0
    assert found["plain_difference_rate"] >= 0.5


@pytest.mark.proof
def test_every_cell_meets_its_demand():
    compare = {"<=": float.__le__, ">=": float.__ge__, ">": float.__gt__}
    missed = [row for row in sim.demands(sim.cells(1000, 0)) if not compare[row[2]](row[1], row[3])]
    assert not missed

import json

import numpy as np
import pytest
from rejoinder.evaluate import sim_rollout as sim
from rejoinder.evaluate.sim_paths import Users, World, draw
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.units import UnitScore
from rejoinder.rollout.verdict import Outcome, verdict


def live(users: Users, run: int, world: World) -> tuple[int | None, int | None]:
    """First unit at which the live verdict says worse, and is promotable, for one simulated rollout."""
    plan = RolloutPlan(base_rate=world.base, vetoes=())
    evidence, worse, ready = Evidence(plan), None, None
    for t in range(users.a.shape[1]):
        evidence.add(
            UnitScore(
                unit=f"u{t:06d}",
                canary=bool(users.a[run, t]),
                weight=float(users.w[run, t]),
                closes_at=float(t),
                turns=world.turns,
                judged=float(users.y[run, t]) if users.judged[run, t] else None,
                replied=float(users.replied[run, t]),
                sat=float(users.sat[run, t]),
                dsat=float(users.dsat[run, t]),
            )
        )
        found = verdict(evidence, plan)
        worse = t if worse is None and found.outcome is Outcome.WORSE else worse
        ready = t if ready is None and found.promotable else ready
    return worse, ready


def first_hit(hits: np.ndarray) -> int | None:
    return int(hits.argmax()) if hits.any() else None


@pytest.mark.parametrize(
    ("effect", "seed", "which"), [(-0.45, 1, "worse"), (0.25, 2, "ready")], ids=["a harmful version", "a good one"]
)
def test_the_simulated_decision_is_the_live_verdicts_at_the_same_unit(effect, seed, which):
    world = World(base=0.7, effect=effect, turns=2)
    users = draw(world, np.full(800, 0.5), 1, np.random.default_rng(seed))
    worse, ready = live(users, 0, world)
    assert worse == first_hit(sim.harm(users, world)[0])
    if worse is None:
        assert ready == first_hit(sim.promotable(users, world)[0])
    assert {"worse": worse, "ready": ready}[which] is not None


def test_the_drifting_ramp_raises_no_false_alarm_beyond_the_error():
    world = World(base=0.7, drift=0.2)
    rate = sim.false_rate(world, (0.2, 0.5), 60, [7])
    assert rate <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5


def test_a_ten_point_drop_is_caught_and_costs_more_than_the_wald_bound():
    cell = sim.catch(World(base=0.8, effect=-0.1), 0.2, 25, [8])
    assert cell["caught_rate"] >= 0.95
    assert sim.wald_bound(0.8, 0.7, 0.2, 0.05) < cell["mean_canary"] < 260


def test_the_wald_bound_is_the_textbooks_where_the_arms_are_equal_in_size():
    """p0 .8, p1 .7 at 50:50: information .5 [kl(.7, .75) + kl(.8, .75)] = .006732 nats a unit."""
    assert sim.wald_bound(0.8, 0.7, 0.5, 0.05) == pytest.approx(0.5 * 2.9957 / 0.006732, rel=0.01)


def test_silent_complaints_do_not_promote():
    world = World(base=0.7, effect=-0.1, replies=(0.4, 0.7), canary_replies=(0.4, 1 / 3))
    assert sim.outcome_rates(world, (0.2,), 20, [9])["promoted_rate"] == 0.0


def test_an_uncaught_run_counts_as_the_whole_horizon():
    found = sim.caught(np.array([100.0, np.inf]), 1200)
    assert (found["caught_rate"], found["mean_canary"]) == (0.5, 650.0)


def test_hits_after_the_horizon_do_not_count():
    hits = np.array([[False, False, True]])
    assert np.isinf(sim.first(hits, np.array([[1.0, 2.0, 3.0]]), horizon=2))[0]
    assert sim.first(hits, np.array([[1.0, 2.0, 3.0]]), horizon=3)[0] == 3.0


def test_the_same_seed_draws_the_same_users_in_any_chunks():
    def together() -> np.ndarray:
        return np.concatenate([users.y for users in sim.chunks(World(), (0.5,), 4, [1])])

    whole = together()
    assert (together() == whole).all()
    assert whole.shape[0] == 4


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("sim") / "reports" / "rollout.json"
    assert sim.main(["--out", str(out), "--runs", "2", "--seed", "5"]) == 0
    return json.loads(out.read_text())


def test_the_report_has_the_six_figures_by_the_names_they_are_read_by(short):
    assert {"aa_false_rate", "harm_promoted_rate", "caught_rate", "clustered_control_false_rate"} <= set(short)
    for key in ("mean_canary_to_catch_10_points", "wald_bound"):
        assert {base: set(by) for base, by in short[key].items()} == {
            "0.8": {"0.2", "0.1", "0.5"},
            "0.7": {"0.2", "0.1", "0.5"},
        }


def test_every_demand_carries_its_figure_and_whether_it_is_met(short):
    assert len(short["demands"]) >= 19
    assert all(set(row) == {"what", "value", "demand", "met"} for row in short["demands"])


def test_strict_answers_with_an_exit_status_when_a_demand_is_missed(tmp_path, monkeypatch):
    missed = {"what": "x", "value": 1.0, "demand": "<= 0", "met": False}
    monkeypatch.setattr(sim, "report", lambda runs, seed: {"demands": [missed]})
    assert sim.main(["--out", str(tmp_path / "r.json")]) == 0
    assert sim.main(["--out", str(tmp_path / "r.json"), "--strict"]) == 1

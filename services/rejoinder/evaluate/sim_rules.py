"""What others do, on the same simulated users: a threshold with a failure count, a peeked z-test, a fixed horizon.

Flagger's default rule: every interval the canary's metric is held against a fixed threshold; `threshold` failed checks
(5 in its documentation), counted over the whole analysis and never reset, roll back. It gets the true base rate here,
which no user has. The peeked z-test is the pooled one-sided test at 5 % after every judgement from 30 an arm on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import numpy as np

from rejoinder.evaluate.sim_paths import Floats, Users, World, bets, log_worse, reached

WEIGHT = 0.2
BASE = 0.8
DROP = 0.1
FAILED_CHECKS = 5
PER_CHECK = 20


def flagger(users: Users, base: float, per_check: int) -> np.ndarray:
    """Where the fifth check fails: each over `per_check` judged canary users, against base - 5 points."""
    used = users.a * users.judged
    count = np.cumsum(used, 1)
    total = np.cumsum(users.y * used, 1)
    out = np.zeros(used.shape, dtype=bool)
    for run in range(len(used)):
        ends = np.searchsorted(count[run], np.arange(per_check, count[run, -1] + 1, per_check))
        means = np.diff(np.concatenate([[0.0], total[run, ends]])) / per_check
        failed = np.cumsum(means < base - DROP / 2)
        hit = ends[failed >= FAILED_CHECKS]
        if len(hit):
            out[run, hit[0] :] = True
    return out


def peeked(users: Users) -> np.ndarray:
    """Where the pooled z-test says worse at 5 %, looked at after every judgement."""
    z, least = z_score(users)
    return (z >= NormalDist().inv_cdf(0.95)) & (least >= 30)


def z_score(users: Users) -> tuple[Floats, Floats]:
    """Pooled two-sample z (positive = canary worse) and the smaller arm's judged users so far."""
    canary, stable = users.a * users.judged, (1 - users.a) * users.judged
    n1, n0 = np.cumsum(canary, 1), np.cumsum(stable, 1)
    s1, s0 = np.cumsum(users.y * canary, 1), np.cumsum(users.y * stable, 1)
    pooled = (s1 + s0) / np.maximum(n1 + n0, 1)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n1, 1) + 1 / np.maximum(n0, 1)))
    return (s0 / np.maximum(n0, 1) - s1 / np.maximum(n1, 1)) / np.maximum(spread, 1e-9), np.minimum(n1, n0)


def fixed_canaries(p0: float, p1: float, w: float, alpha: float, power: float) -> int:
    """Canary users of a fixed-horizon z-test that is told both true rates."""
    normal = NormalDist()
    reach = normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
    return math.ceil(reach**2 * (p1 * (1 - p1) + p0 * (1 - p0) * w / (1 - w)) / (p0 - p1) ** 2)


def turn_counting(runs: int, seed: int, chunks: Callable[..., Iterator[Users]]) -> float:
    """The control that must fail (A/A, 4 turns): the same test at 5 % with every turn as a unit of its own."""
    world = World(base=0.7, turns=4, replies=(1.0, 1.0), window=1e9)
    found = 0
    for users in chunks(world, (WEIGHT,), runs, [seed, 60]):
        y = np.moveaxis(users.labels, 0, 2).reshape(len(users.a), -1)
        a, w = np.repeat(users.a, world.turns, 1), np.repeat(users.w, world.turns, 1)
        found += int(reached(log_worse(bets(y, a, w, world.base, 0.0)), math.log(1 / 0.05)).any(1).sum())
    return found / runs


def compare(
    runs: int,
    seed: int,
    harm: Callable[..., np.ndarray],
    count_of: Callable[[Users], Floats],
    first: Callable[..., Floats],
    caught: Callable[..., dict[str, float]],
    chunks: Callable[..., Iterator[Users]],
) -> dict[str, Any]:
    """False rollbacks on A/A and detection of a 10-point drop, rule by rule, on the same users."""
    rules: dict[str, Callable[[Users, World], np.ndarray]] = {
        "ours": harm,
        "flagger_default": lambda users, _: flagger(users, BASE, PER_CHECK),
        "flagger_50_users_a_check": lambda users, _: flagger(users, BASE, 50),
        "flagger_100_users_a_check": lambda users, _: flagger(users, BASE, 100),
        "peeked_z_test": lambda users, _: peeked(users),
    }
    fixed = fixed_canaries(BASE, BASE - DROP, WEIGHT, 0.05, 0.95)
    same, worse, drifting = World(base=BASE), World(base=BASE, effect=-DROP), World(base=BASE - 0.1, drift=0.1)
    times: dict[str, dict[str, list[Floats]]] = {name: {"same": [], "worse": [], "drift": []} for name in rules}
    at_fixed: dict[str, list[np.ndarray]] = {"same": [], "worse": []}
    for key, world in (("same", same), ("worse", worse), ("drift", drifting)):
        for users in chunks(world, (WEIGHT,), runs, [seed, 70, len(key)]):
            count = count_of(users)
            for name, rule in rules.items():
                times[name][key].append(first(rule(users, world), count))
            if key in at_fixed:
                z, _ = z_score(users)
                index = (count < fixed).sum(1).clip(max=count.shape[1] - 1)
                at_fixed[key].append(z[np.arange(len(z)), index] >= NormalDist().inv_cdf(0.95))
    out: dict[str, Any] = {}
    for name, by in times.items():
        false = np.isfinite(np.concatenate(by["same"])).mean()
        drift = np.isfinite(np.concatenate(by["drift"])).mean()
        out[name] = {"false_rate": float(false), "false_rate_drifting_base": float(drift)}
        out[name] |= caught(np.concatenate(by["worse"]))
    ours = np.concatenate(times["ours"]["worse"])
    out["fixed_horizon"] = {
        "canary": fixed,
        "false_rate": float(np.concatenate(at_fixed["same"]).mean()),
        "caught_rate": float(np.concatenate(at_fixed["worse"]).mean()),
        "ours_caught_by_then": float((ours <= fixed).mean()),
        "ours_mean_over_fixed": float(np.minimum(ours, 1200).mean() / fixed),
        "ours_p95_over_fixed": float(np.quantile(np.minimum(ours, 1200), 0.95) / fixed),
    }
    out["clustered_control_false_rate"] = turn_counting(runs, seed, chunks)
    return out

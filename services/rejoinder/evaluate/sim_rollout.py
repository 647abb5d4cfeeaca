"""The verdict's error rates and speed, by simulation: `python -m rejoinder.evaluate.sim_rollout --out FILE`.

Each cell is `runs` rollouts over simulated users, looked at after every matured unit up to 1,200 judged canary users.
A cell's demand stands beside its figure; a miss is a miss (exit status 1 with --strict). Units are users with one turn
unless a cell says otherwise, half of whom reply: the hardest case for a fixed number of judged canary users.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluate import sim_audit, sim_rules
from rejoinder.evaluate.sim_paths import (
    Bets,
    Floats,
    Users,
    World,
    bets,
    draw,
    log_mean,
    log_not_worse,
    log_sample_ratio,
    log_worse,
    reached,
)
from rejoinder.rollout.evidence import PARTS, SILENCE_PART
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.sample_ratio import LOG_SUSPEND

PLAN = RolloutPlan()
ALPHA, MARGIN = PLAN.alpha, PLAN.margin
HORIZON = 1200
#: Elements of one array: what keeps a chunk's arrays near the cache and under a few hundred MB together.
CHUNK = 1_500_000
VETO_RATE = 0.05

#: Mean judged canary users to catch a 10-point drop: base -> weight -> the most that is allowed.
CATCH_DEMANDS = {0.8: {0.2: 200, 0.1: 175, 0.5: 330}, 0.7: {0.2: 250, 0.1: 225, 0.5: 400}}
NEVER = tuple(f"displeased reply {rate} instead of 0.70" for rate in ("0.33", "0.20"))
RAMP = (0.05, 0.20, 0.50)

Hits = NDArray[np.bool_]


def weights(world: World, schedule: tuple[float, ...], horizon: int = HORIZON) -> Floats:
    """Weights of the units until about `horizon` judged canary users, an equal share of them at each weight."""
    seen = 1 - (1 - min(world.replies) * (1 - math.exp(-world.window / world.delay))) ** world.turns
    parts = [np.full(math.ceil(1.05 * horizon / len(schedule) / w / seen), w) for w in schedule]
    return np.concatenate(parts)


def chunks(world: World, schedule: tuple[float, ...], runs: int, seed: list[int]) -> Iterator[Users]:
    """The cell's rollouts, a chunk at a time; the same seed gives the same users whatever else is run."""
    w, rng = weights(world, schedule), np.random.default_rng(seed)
    size = max(1, CHUNK // len(w))
    for start in range(0, runs, size):
        yield draw(world, w, min(size, runs - start), rng)


def harm(users: Users, world: World, vetoes: int = 0, rng: np.random.Generator | None = None) -> Hits:
    """Where the whole verdict says worse: the weighted mean of E-values, as in rollout.evidence."""
    judged = log_worse(bets(users.y, users.a, users.w, world.base, MARGIN, users.judged))
    quiet = 1 - (1 - world.base) * 0.5
    dsat = log_worse(bets(1 - users.dsat, users.a, users.w, quiet, MARGIN))
    others = []
    if rng is not None:
        for _ in range(vetoes):
            bad = (rng.random(users.a.shape) < VETO_RATE).astype(float)
            others.append(log_worse(bets(1 - bad, users.a, users.w, 1 - VETO_RATE, MARGIN)))
    threshold = math.log(1 / ALPHA)
    out = np.zeros(users.a.shape, dtype=bool)
    rows = np.maximum.reduce([part.max(1) for parts in (judged, dsat, *others) for part in parts]) >= threshold
    if rows.any():
        mean_veto = [np.exp(log_mean([part[rows] for part in parts])) for parts in others]
        total = PARTS["judged"] * np.exp(log_mean([part[rows] for part in judged]))
        total = total + PARTS["no_dsat"] * np.exp(log_mean([part[rows] for part in dsat]))
        total = total + PARTS["vetoes"] * (sum(mean_veto) / len(mean_veto) if mean_veto else 1.0)
        out[rows] = np.log(total) >= threshold
    return out


def promotable(users: Users, world: World) -> Hits:
    """Where non-inferiority is shown and the reply rate is sound, as in rollout.verdict."""

    def not_worse(b: Bets, alpha: float = ALPHA) -> Hits:
        return reached(log_not_worse(b), math.log(1 / alpha))

    ready = not_worse(bets(users.y, users.a, users.w, world.base, MARGIN, users.judged))
    canary, stable = users.a * users.judged, (1 - users.a) * users.judged
    ready &= (np.cumsum(canary, 1) >= PLAN.min_units) & (np.cumsum(stable, 1) >= PLAN.min_units)
    reply = bets(users.replied, users.a, users.w, 0.5, PLAN.reply_margin)
    edge = math.log(2 / (SILENCE_PART * ALPHA))
    moved = reached(log_worse(reply), edge) | reached(log_worse(reply, -1.0), edge)
    mirror = bets(1 - users.replied, users.a, users.w, 0.5, PLAN.reply_margin)
    guard = SILENCE_PART * ALPHA
    stayed = not_worse(reply, guard) & not_worse(mirror, guard)
    stayed &= ~np.logical_or.accumulate(moved, 1)
    n = np.arange(users.a.shape[1])
    rate = (2 * 0.5 + np.cumsum(users.replied, 1) - users.replied) / (n + 2)
    per_turn = [
        not_worse(bets(1 - users.dsat, users.a, users.w, 1 - (1 - world.base) * 0.5, MARGIN * rate), guard),
        not_worse(bets(users.sat, users.a, users.w, world.base * 0.5, MARGIN * rate), guard),
    ]
    return ready & (stayed | (per_turn[0] & per_turn[1]))


def first(hits: Hits, count: Floats, horizon: int = HORIZON) -> Floats:
    """Judged canary users at the first hit; infinite where none came before the horizon."""
    hits = hits & (count <= horizon)
    return np.where(hits.any(1), count[np.arange(len(count)), hits.argmax(1)], np.inf)


def caught(at: Floats, horizon: int = HORIZON) -> dict[str, float]:
    """Share caught and the mean number of canary users it took; a run that was not caught counts the horizon."""
    return {
        "caught_rate": float(np.isfinite(at).mean()),
        "mean_canary": float(np.minimum(at, horizon).mean()),
        "p95_canary": float(np.quantile(np.minimum(at, horizon), 0.95)),
    }


def judged_canaries(users: Users) -> Floats:
    return np.cumsum(users.a * users.judged, 1)


def false_rate(world: World, schedule: tuple[float, ...], runs: int, seed: list[int], vetoes: int = 0) -> float:
    """A/A: the share of rollouts that the whole verdict ever calls worse."""
    rng = np.random.default_rng([*seed, 1])
    found = [
        first(harm(users, world, vetoes, rng), judged_canaries(users)) for users in chunks(world, schedule, runs, seed)
    ]
    return float(np.isfinite(np.concatenate(found)).mean())


def aa_cells(runs: int, seed: int) -> dict[str, float]:
    cells: dict[str, tuple[World, tuple[float, ...], int]] = {}
    for base in (0.3, 0.7, 0.9):
        for w in (0.05, 0.1, 0.2, 0.5):
            cells[f"base {base} weight {w}"] = (World(base=base), (w,), 0)
    informative = (0.4, 0.7)
    cells["drift 0.7±0.2 weight 0.2"] = (World(base=0.7, drift=0.2), (0.2,), 0)
    cells["ramp 5-20-50 base 0.7"] = (World(base=0.7), RAMP, 0)
    cells["ramp 5-20-50 drift 0.7±0.2"] = (World(base=0.7, drift=0.2), RAMP, 0)
    cells["4 turns a user weight 0.2"] = (World(base=0.7, turns=4), (0.2,), 0)
    cells["4 turns a user ramp drift"] = (World(base=0.7, turns=4, drift=0.2), RAMP, 0)
    cells["pleased reply 40 %, displeased 70 %"] = (World(base=0.7, replies=informative), (0.2,), 0)
    cells["wrong base rate 0.7 -> 0.4"] = (World(base=0.7, replies=(0.2, 0.7)), (0.2,), 0)
    cells["two vetoes beside it"] = (World(base=0.7, replies=informative), (0.2,), 2)
    return {
        name: false_rate(world, ws, runs, [seed, 10, i], k) for i, (name, (world, ws, k)) in enumerate(cells.items())
    }


def outcome_rates(world: World, schedule: tuple[float, ...], runs: int, seed: list[int]) -> dict[str, float]:
    """What becomes of a rollout: worse, promoted (whichever comes first), or neither by the horizon."""
    worse, ready, units = [], [], []
    for users in chunks(world, schedule, runs, seed):
        count = judged_canaries(users)
        worse.append(first(harm(users, world), count))
        ready.append(first(promotable(users, world), count))
        units.append(count[:, -1])
    w, p = np.concatenate(worse), np.concatenate(ready)
    promoted = np.isfinite(p) & (p < w)
    return {
        "promoted_rate": float(promoted.mean()),
        "worse_rate": float((np.isfinite(w) & ~promoted).mean()),
        "neither_rate": float((~np.isfinite(w) & ~promoted).mean()),
        "mean_canary_to_promote": float(np.minimum(p, HORIZON).mean()),
    }


def promotion_cells(runs: int, seed: int) -> dict[str, dict[str, float]]:
    cells = {
        "-5 points, base 0.7 weight 0.2": (World(base=0.7, effect=-0.05), (0.2,)),
        "-5 points, base 0.9 weight 0.2": (World(base=0.9, effect=-0.05), (0.2,)),
        "-5 points, base 0.7 weight 0.5": (World(base=0.7, effect=-0.05), (0.5,)),
        "-5 points, base 0.7 weight 0.1": (World(base=0.7, effect=-0.05), (0.1,)),
        "-5 points, ramp 5-20-50, drift": (World(base=0.7, effect=-0.05, drift=0.2), RAMP),
        "-5 points, 4 turns a user": (World(base=0.7, effect=-0.05, turns=4), (0.2,)),
        "as good, base 0.8 weight 0.5": (World(base=0.8), (0.5,)),
        "as good, base 0.7 weight 0.2": (World(base=0.7), (0.2,)),
        "+5 points, base 0.7 weight 0.2": (World(base=0.7, effect=0.05), (0.2,)),
    }
    return {name: outcome_rates(*cell, runs, [seed, 20, i]) for i, (name, cell) in enumerate(cells.items())}


def silence_cells(runs: int, seed: int) -> dict[str, dict[str, float]]:
    """Truth .70 -> .60 while fewer of the canary's displeased users reply, or more of its pleased ones.

    At .33 and .20 the satisfaction of those who reply *rises*: never promoted. Elsewhere: as any version that is worse.
    """
    out = {}
    for i, displeased in enumerate((0.7, 0.5, 1 / 3, 0.2)):
        world = World(base=0.7, effect=-0.1, replies=(0.4, 0.7), canary_replies=(0.4, displeased))
        out[f"displeased reply {displeased:.2f} instead of 0.70"] = outcome_rates(world, (0.2,), runs, [seed, 30, i])
    nudged = World(base=0.7, effect=-0.1, replies=(0.4, 0.7), canary_replies=(0.65, 0.7))
    out["pleased reply 0.65 instead of 0.40"] = outcome_rates(nudged, (0.2,), runs, [seed, 30, 9])
    return out


def catch_cells(runs: int, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """A 10-point drop: judged canary users until the whole verdict says worse, and until one test at 5 % does."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for i, (base, demands) in enumerate(CATCH_DEMANDS.items()):
        for k, (w, demand) in enumerate(demands.items()):
            cell = catch(World(base=base, effect=-0.1), w, runs, [seed, 40, i, k])
            cell |= {"demand": demand, "wald_bound": wald_bound(base, base - 0.1, w, ALPHA)}
            out.setdefault(str(base), {})[str(w)] = cell
    return out


def catch(world: World, w: float, runs: int, seed: list[int]) -> dict[str, float | None]:
    whole, alone, exposed = [], [], []
    for users in chunks(world, (w,), runs, seed):
        count = judged_canaries(users)
        hits = harm(users, world)
        whole.append(first(hits, count))
        exposed.append(first(hits & (count <= HORIZON), np.cumsum(users.a, 1), 10 * HORIZON))
        judged = bets(users.y, users.a, users.w, world.base, MARGIN, users.judged)
        alone.append(first(reached(log_worse(judged), math.log(1 / ALPHA)), count))
    seen = np.concatenate(exposed)
    return caught(np.concatenate(whole)) | {
        "mean_canary_satisfaction_alone_at_5_percent": caught(np.concatenate(alone))["mean_canary"],
        "mean_canary_exposed": float(seen[np.isfinite(seen)].mean()) if np.isfinite(seen).any() else None,
    }


def wald_bound(p0: float, p1: float, w: float, alpha: float) -> float:
    """Fewest canary users, on average, of any test with this error that always catches p0 -> p1 (Wald 1945):
    ln(1/alpha) over the information a unit gives against the nearest world in which both arms are equal."""

    def information(p: float, q: float) -> float:
        return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))

    pooled = w * p1 + (1 - w) * p0
    return w * math.log(1 / alpha) / (w * information(p1, pooled) + (1 - w) * information(p0, pooled))


def sample_ratio_cells(runs: int, seed: int, w: float = 0.2, units: int = 10_000) -> dict[str, float]:
    """False alarms with nothing lost, and how many units it takes to see that a tenth of the canary's are lost."""
    rng = np.random.default_rng([seed, 50])
    sound = log_sample_ratio((rng.random((runs, units)) < w).astype(float), w) >= LOG_SUSPEND
    lossy = log_sample_ratio((rng.random((runs, units)) < 0.9 * w / (1 - 0.1 * w)).astype(float), w) >= LOG_SUSPEND
    return {
        "false_alarm_rate": float(sound.any(1).mean()),
        "found_rate_10_percent_lost": float(lossy.any(1).mean()),
        "mean_units_to_find": float(np.where(lossy.any(1), lossy.argmax(1), units).mean()),
    }


def report(runs: int, seed: int) -> dict[str, Any]:
    """All cells with their demands and the six figures that are read elsewhere."""
    started = time.monotonic()
    aa, promotion, silence = aa_cells(runs, seed), promotion_cells(runs, seed), silence_cells(runs, seed)
    catching = catch_cells(runs, seed)
    rules = sim_rules.compare(runs, seed, harm, judged_canaries, first, caught, chunks)
    noisy = catch(World(base=0.8, effect=-0.1, truth=0.85), 0.2, runs, [seed, 41])
    harmful = {name: cell for name, cell in promotion.items() if name.startswith("-5")}
    figures = {
        "aa_false_rate": max(aa.values()),
        "harm_promoted_rate": max(cell["promoted_rate"] for cell in harmful.values()),
        "caught_rate": min(cell["caught_rate"] for by in catching.values() for cell in by.values()),
        "mean_canary_to_catch_10_points": {
            base: {w: cell["mean_canary"] for w, cell in by.items()} for base, by in catching.items()
        },
        "clustered_control_false_rate": rules.pop("clustered_control_false_rate"),
        "wald_bound": {base: {w: cell["wald_bound"] for w, cell in by.items()} for base, by in catching.items()},
    }
    cells = {
        "aa": aa,
        "promotion": promotion,
        "silence": silence,
        "catch": catching,
        "judge_85_percent": noisy,
        "sample_ratio": sample_ratio_cells(runs, seed),
        "audit": sim_audit.cells(runs, seed),
        "rules": rules,
    }
    made = {"runs": runs, "seed": seed, "seconds": round(time.monotonic() - started, 1), "horizon_canary": HORIZON}
    return figures | {"demands": demands(figures, cells), "cells": cells, "made": made}


def demands(figures: dict[str, Any], cells: dict[str, Any]) -> list[dict[str, Any]]:
    """Every demand with its figure; `met` is plain comparison."""
    rows: list[tuple[str, float, str, float]] = [
        ("A/A false rollbacks, worst cell", figures["aa_false_rate"], "<=", 0.05),
        ("a -5 version promoted, worst cell", figures["harm_promoted_rate"], "<=", 0.05),
        ("a 10-point drop caught within 1,200 canary users", figures["caught_rate"], ">=", 0.95),
        ("counting turns as units: false rollbacks", figures["clustered_control_false_rate"], ">", 0.10),
    ]
    for base, by in cells["catch"].items():
        rows += [(f"mean canary users, {base} weight {w}", c["mean_canary"], "<=", c["demand"]) for w, c in by.items()]
    for name, cell in cells["silence"].items():
        rows.append((f"silence: {name}, promoted", cell["promoted_rate"], "<=", 0.0 if name in NEVER else 0.05))
    rows += sim_audit.demands(cells["audit"])
    ours = cells["rules"]["ours"]
    for name in ("flagger_default", "peeked_z_test"):
        rule = cells["rules"][name]
        rows.append(
            (f"{name}: false rollbacks over ours", rule["false_rate"] / max(ours["false_rate"], 1e-9), ">=", 4.0)
        )
        rows.append((f"{name}: our detection less its", ours["caught_rate"] - rule["caught_rate"], ">=", 0.0))
    compare = {"<=": float.__le__, ">=": float.__ge__, ">": float.__gt__}
    return [
        {"what": what, "value": value, "demand": f"{sign} {limit}", "met": compare[sign](float(value), float(limit))}
        for what, value, sign, limit in rows
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strict", action="store_true", help="exit 1 when a demand is missed")
    options = parser.parse_args(arguments)
    made = report(options.runs, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(made, indent=2, sort_keys=True, allow_nan=False) + "\n")
    for row in made["demands"]:
        print(f"{'met   ' if row['met'] else 'MISSED'} {row['value']:10.4g} {row['demand']:>9}  {row['what']}")
    return int(options.strict and not all(row["met"] for row in made["demands"]))


if __name__ == "__main__":
    raise SystemExit(main())

"""What a data folder with three rounds comes to: two with a gate, one that is open; and who was served them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from rejoinder.evaluate.report.rounds import round_of


def figure(value: float, half: float = 0.05, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, **more}


def measure(name: str, outcome: str, value: float | None = None, threshold: float | None = None, **more: Any) -> dict:
    ends = {"value": None, "low": None, "high": None} if value is None else figure(value)
    return {"name": name, "outcome": outcome, **ends, "threshold": threshold, "n": 240, "groups": 200, **more}


def stages(number: int, *, judged: bool = True) -> dict[str, Any]:
    """What the stages of one round put out. judged: whether a second head compared the answers."""
    ranked = {"per_token": {"all": {"before": figure(0.55), "after": figure(0.58 + 0.01 * number)}}}
    win_rate = measure("win_rate", "pass", 0.53, 0.45, facts={"all": 0.52, "n_all": 400})
    gate = [
        measure("pair_accuracy", "pass", 0.03, -0.02, facts=ranked),
        win_rate if judged else measure("win_rate", "unmeasured", why="gate.head names no head"),
        measure("kl", "pass", 0.06 * number, 1.0, veto=True),
        measure("mine", "fail" if number == 2 else "pass", 0.5, 0.6),
    ]
    counts = {"built.edits": 30 * number, "dropped.edits.near_duplicate": 7, "reason.style": 5, "without_user": 2}
    wishes = {"said": 90, "checkable": 0.75, "judged": 0.0, "unmeasured": 0.25, "n": 60, "users": 50}
    return {
        "pairs": {
            "pairs": 21 * number,
            "counts": counts | {"left_out.comparisons.no_scorer": 1},
            "sets": {"pairs": {"rows": 21 * number}, "gate": {"rows": 5}},
            "window": {"counts": {"evidence": 410}},
        },
        "train": {
            "metrics": {
                "after": {"kl_to_original_per_token": 0.05 * number, "generated_length_ratio": 1.1},
                "first_step": {"loss": 0.69},
                "last_step": {"loss": 0.31, "reward_margin": 0.8 * number, "accuracy": 0.9},
                "pairs": {"trained": 60 * number},
                "seconds": 41.5,
            }
        },
        "gate": {
            "measures": gate,
            "wishes": wishes | {"before": figure(0.4), "after": figure(0.5), "gain": figure(0.1)},
        },
    }


def satisfaction(group: str, share: float, users: int = 100, **more: Any) -> dict[str, Any]:
    counts = {"interactions": 400, "replied": 210, "sat": 90, "dsat": 80, "none": 40, "users": users}
    return {"group": group, **counts, "satisfaction": share, "low": share - 0.04, "high": share + 0.04, **more}


def version(name: str, share: float, days: int = 3) -> dict[str, Any]:
    over_time = [satisfaction(f"2026-03-{day + 1:02}T00:00Z", share + 0.01 * day, 40) for day in range(days)]
    return {
        "whole": satisfaction(name, share),
        "over_time": over_time,
        "step_s": 86_400.0,
        "reasons": {"style": 31, "factual_error": 12},
    }


def report(**more: Any) -> dict[str, Any]:
    ends = [("published", []), ("refused", ["mine:fail"])]
    rounds = [
        round_of(
            number,
            1_772_000_000.0 + number,
            {
                "outcome": outcome,
                "at": 1_772_003_600.0,
                "version": f"assist-r{number:04d}",
                "reasons": reasons,
                "stages": stages(number),
            },
            rolled_back=False,
        )
        for number, (outcome, reasons) in enumerate(ends, 1)
    ]
    return {
        "policy": "assist",
        "tenant": "default",
        "made_at": 1_772_100_000.0,
        "by": "rejoinder 0.1.0",
        "stable": "assist-r0001",
        "base": "base",
        "policies": ["assist"],
        "rounds": [*rounds, round_of(3, 1_772_090_000.0, {}, rolled_back=False)],
        "satisfaction": {
            "versions": [version("base", 0.41), version("assist-r0001", 0.52)],
            "join_rate": 0.97,
            "unlinked": {"unknown_target": 3},
        },
        "calibration": {
            "sheet": "audit.csv",
            "version": "minilm",
            "labels": 40,
            "bins": [{"said": 0.5, "value": 0.4, "low": 0.2, "high": 0.6, "n": 20}],
            "figures": {"ece": figure(0.1)},
            "ece_null_95": 0.15,
        },
        "measures": [],
        **more,
    }


def empty() -> dict[str, Any]:
    """What `rejoinder import` of a log that nobody replied in leaves."""
    nothing = {"versions": [], "join_rate": 1.0, "unlinked": {}}
    return report(rounds=[], stable="", policies=["other"], satisfaction=nothing, calibration=None)


def named(value: Any, name: str) -> Any:
    """The same with this in place of every text, and of every name of a count, that somebody else chose."""
    kept = {"outcome", "kind", "how", "part", "group"}
    chosen = {"reasons", "builders", "dropped", "factors", "scores", "probes", "unlinked", "window", "other"}

    def within(item: Any, place: str) -> Any:
        if isinstance(item, Mapping):
            rows = [
                (f"{name}{i}" if place in chosen else key, within(v, key)) for i, (key, v) in enumerate(item.items())
            ]
            return dict(rows)
        if isinstance(item, list):
            return [within(v, place) for v in item]
        return name if isinstance(item, str) and place not in kept else item

    found = within(copy.deepcopy(value), "")
    for row in found["satisfaction"]["versions"]:
        row["whole"]["group"] = name
    return found

"""What a closed round left in the registry, as plain values of the report: the page's and `--json`'s."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from rejoinder.evaluate.report.reading import At
from rejoinder.evaluate.rewards import HEADS

OUTCOMES = ("pass", "fail", "unmeasured")
#: What a round counts beside its builders.
_OTHER = ("reason", "crossing", "consensus", "charter")


def round_of(number: int, began: float, report: Mapping[str, Any], rolled_back: bool) -> dict[str, Any]:
    """number, began: of its claim. report: of `registry.claims.reported`, empty while the round is open. Raises
    BadFile, naming the field."""
    at = At(f"round {number}", "", {**report, "number": number, "began": began})
    stages = at["stages"]
    return {
        "number": at["number"].count(),
        "began": at["began"].number(),
        "ended": at["at"].number(),
        "outcome": at["outcome"].text() or "open",
        "version": at["version"].text(),
        "reasons": [reason.text() for reason in at["reasons"].each()],
        "rolled_back": rolled_back,
        "measures": [_measure(measure) for measure in stages["gate"]["measures"].each()],
        "wishes": _wishes(stages["gate"]["wishes"]),
        "rewards": _rewards(stages["gate"]["rewards"]),
        "pairs": None if stages["pairs"].absent else _pairs(stages["pairs"]),
        "train": None if stages["train"].absent else _train(stages["train"]["metrics"]),
    }


def _measure(at: At) -> dict[str, Any]:
    outcome = at["outcome"].text()
    if outcome not in OUTCOMES:
        raise at["outcome"].refuse(f"one of {', '.join(OUTCOMES)}")
    return {
        "name": at["name"].text(),
        "outcome": outcome,
        **{name: at[name].number() for name in ("value", "low", "high", "threshold")},
        "n": at["n"].count(),
        "groups": at["groups"].count(),
        "veto": at["veto"].true(),
        "why": at["why"].text(),
        **_facts(at),
    }


def _facts(at: At) -> dict[str, Any]:
    """What is drawn of a measure's facts: the share of pairs ranked right, and the win rate over all answers."""
    facts = at["facts"]
    if at["name"].text() == "pair_accuracy":
        whole = facts["per_token"]["all"]
        return {"accuracy": {name: whole[name].figure() for name in ("before", "after")}}
    if at["name"].text() == "win_rate":
        return {"of_all": facts["all"].number()}
    return {}


def _wishes(at: At) -> dict[str, Any] | None:
    if at.absent:
        return None
    shares = {name: at[name].number() for name in ("checkable", "judged", "unmeasured")}
    figures = {name: at[name].figure() for name in ("before", "after", "gain")}
    return {**{name: at[name].count() for name in ("said", "n", "users")}, **shares, **figures}


def _rewards(at: At) -> dict[str, Any] | None:
    """What the two heads of evaluate/rewards.py said; None of rounds that ran before they were asked."""
    if at.absent:
        return None
    heads: dict[str, Any] = {}
    for name in HEADS:
        counts = {count: at[name][count].count() for count in ("n", "groups", "pairs", "users")}
        ends = {end: at[name][end].number() for end in ("value", "low", "high")}
        heads[name] = {**ends, **counts, "why": at[name]["why"].text()}
    return {"stable": at["stable"].text(), **heads}


def _pairs(at: At) -> dict[str, Any]:
    """Counts are named `built.BUILDER`, `dropped.BUILDER.CAUSE`, `left_out.BUILDER.PORT`, `KIND.NAME`, or `NAME`."""
    builders: dict[str, dict[str, Any]] = defaultdict(lambda: {"built": 0, "dropped": {}, "left_out": {}})
    others: dict[str, dict[str, int]] = {name: {} for name in _OTHER}
    rest: dict[str, int] = {}
    for name, count in at["counts"].counts().items():
        kind, _, of = name.partition(".")
        builder, _, cause = of.partition(".")
        if kind == "built" and of:
            builders[of]["built"] = count
        elif kind in ("dropped", "left_out") and cause:
            builders[builder][kind][cause] = count
        elif kind in others and of:
            others[kind][of] = count
        elif count:
            rest[name] = count
    sides = {name: made["rows"].count() for name, made in at["sets"].items()}
    window = at["window"]["counts"].counts()
    return {
        "new": at["pairs"].count(),
        "sides": sides,
        "builders": dict(sorted(builders.items())),
        **{name: found for name, found in others.items() if found},
        "other": rest,
        "window": window,
    }


def _train(at: At) -> dict[str, Any]:
    first, last, after = at["first_step"], at["last_step"], at["after"]
    return {
        "pairs": at["pairs"]["trained"].number(),
        "seconds": at["seconds"].number(),
        "kl": after["kl_to_original_per_token"].number(),
        "length_ratio": after["generated_length_ratio"].number(),
        "tokens": after["generated_tokens"].number(),
        "loss": [step["loss"].number() for step in (first, last)],
        "reward_margin": last["reward_margin"].number(),
        "reward_accuracy": last["accuracy"].number(),
    }


def kl_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """{"value", "low", "high", "by"}: of the gate's users where it was measured, else of the train stage's prompts."""
    gate = measure_of(row, "kl")
    if gate and gate["value"] is not None:
        return {"value": gate["value"], "low": gate["low"], "high": gate["high"], "by": "gate"}
    trained = (row["train"] or {}).get("kl")
    return None if trained is None else {"value": trained, "low": None, "high": None, "by": "train"}


def measure_of(row: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((measure for measure in row["measures"] if measure["name"] == name), None)

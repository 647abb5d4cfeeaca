"""What training on these pairs does to ranking accuracy, beside what it must be told from (arXiv 2405.19534).

The same base, pairs and steps four times: not at all (before), SFT on the chosen answers, the recipe's objective, and
that objective on pairs whose sides were exchanged by a fair coin: the control, which must not gain. Measured on users
who were not trained on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.types import Preference
from rejoinder.evaluate.ranking_accuracy import rank_report
from rejoinder.registry.datasets import training_row
from rejoinder.rounds.pairs.split import Split
from rejoinder.rounds.recipe import Train
from rejoinder.rounds.stages import TRAINING, paths


@dataclass(frozen=True)
class Arm:
    """One way of training. settings: what differs from the recipe's; shuffled: sides exchanged by a fair coin."""

    name: str
    settings: Mapping[str, Any]
    shuffled: bool = False


def arms(train: Train) -> tuple[Arm, ...]:
    """SFT, the recipe's objective, and its control."""
    objective = str(train.settings.get("objective", "dpo"))
    return (
        Arm("sft", {"objective": "sft", "params": {}, "anchor_weight": 0.0}),
        Arm(objective, {}),
        Arm(f"{objective}, shuffled", {}, shuffled=True),
    )


def compare(
    cut: Split,
    train: Train,
    base: Path,
    work: Path,
    seed: int,
    told: Callable[[str], None],
    run: Callable[[Sequence[str]], dict[str, Any]],
) -> dict[str, Any]:
    """Ranking accuracy before and after each arm, on the gate's and evaluation's users together.

    Raises FailedPrecondition where one of the sides is empty.
    """
    measured = [*cut.sides["gate"], *cut.sides["evaluation"]]
    if not cut.sides["pairs"] or not measured:
        raise FailedPrecondition("ranking accuracy needs pairs on both sides of the split")
    work.mkdir(parents=True, exist_ok=True)
    held = write(work / "measured.jsonl", measured)
    told("before")
    before = likelihood(held, base, None, work / "before.jsonl", run)
    beta = train.settings.get("params", {}).get("beta")
    report: dict[str, Any] = {"trained_on": len(cut.sides["pairs"]), "measured_on": len(before), "arms": {}}
    for arm in arms(train):
        told(arm.name)
        pairs: Sequence[Preference] = cut.sides["pairs"]
        pairs = exchanged(pairs, np.random.default_rng(seed)) if arm.shuffled else pairs
        name = arm.name.replace(", ", "-")
        file, out = write(work / f"{name}.jsonl", pairs), work / name
        manifest = work / f"{name}.manifest.json"
        manifest.write_text(json.dumps({"train": {**train.settings, **arm.settings, "seed": seed}}))
        run([*TRAINING, "run", *paths(manifest=manifest, pairs=file, base=base, out=out)])
        after = likelihood(held, base, out / "adapter", work / f"{name}.rows.jsonl", run)
        generator = np.random.default_rng(seed)
        report["arms"][arm.name] = rank_report(before, after, generator=generator, beta=beta, min_n=1)
    return report


def exchanged(pairs: Sequence[Preference], rng: np.random.Generator) -> list[Preference]:
    """The same pairs, chosen and rejected exchanged by a fair coin."""
    coins = rng.random(len(pairs)) < 0.5
    return [
        replace(pair, order=tuple(reversed(pair.order))) if coin else pair
        for pair, coin in zip(pairs, coins, strict=True)
    ]


def write(path: Path, pairs: Sequence[Preference]) -> Path:
    path.write_text("".join(json.dumps(training_row(p), ensure_ascii=False) + "\n" for p in pairs), "utf-8")
    return path


def likelihood(
    pairs: Path, base: Path, adapter: Path | None, out: Path, run: Callable[[Sequence[str]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of log-probabilities of both sides of each pair, under the base or an adapter on it."""
    named = {"pairs": pairs, "base": base, "out": out} | ({"adapter": adapter} if adapter else {})
    run([*TRAINING, "likelihood", *paths(**named)])
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]

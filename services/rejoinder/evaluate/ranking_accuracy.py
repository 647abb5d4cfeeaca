"""Does the policy rank the chosen response above the rejected one? A. Chen et al., NeurIPS 2024, arXiv 2405.19534.

Ranking accuracy is the share of pairs with log p(chosen) > log p(rejected), ties one half: not the reward accuracy that
a trainer logs, which compares log-ratios. Reported summed and per token, on all pairs and on those of about equal
length, before and after training, beside what length alone would say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluate.measured import interval

Floats = NDArray[np.float64]
MATCHED = (0.8, 1.25)
"""Ratio of lengths, chosen to rejected, within which a pair counts as length-matched."""


@dataclass(frozen=True)
class Scored:
    """N pairs under one model. chosen, rejected (N,): summed log-probabilities, nats; their lengths in tokens (N,)."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    chosen: Floats
    rejected: Floats
    chosen_tokens: Floats
    rejected_tokens: Floats

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Scored:
        """From rows {id, group, chosen_logp, rejected_logp, chosen_tokens, rejected_tokens}."""

        def column(name: str) -> Floats:
            return np.array([row[name] for row in rows], dtype=np.float64)

        names = ("chosen_logp", "rejected_logp", "chosen_tokens", "rejected_tokens")
        return cls(tuple(r["id"] for r in rows), tuple(r["group"] for r in rows), *map(column, names))

    def right(self, per_token: bool) -> Floats:
        """(N,) 1 where the chosen response ranks first, 0 where second, 1/2 on a tie."""
        chosen, rejected = self.chosen, self.rejected
        if per_token:
            chosen, rejected = chosen / self.chosen_tokens, rejected / self.rejected_tokens
        return _wins(chosen, rejected)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """(N,) which pairs are of about equal length."""
        ratio = self.chosen_tokens / self.rejected_tokens
        return (ratio >= MATCHED[0]) & (ratio <= MATCHED[1])


@dataclass(frozen=True)
class Figure:
    """A mean with its bootstrap 95 % interval by group; NaN-free: an empty slice is `unmeasured` with n = 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    groups: int
    measured: bool


def rank_report(
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    *,
    generator: np.random.Generator,
    beta: float | None = None,
    min_n: int = 200,
    draws: int = 1000,
) -> dict[str, Any]:
    """before, after: rows of the same pairs under two models (ValueError where the ids differ).

    Returns {"summed" | "per_token": {"all" | "length_matched": {"before", "after", "gain", "longer_wins"}}, "flips",
    "by_difficulty", "idealised"}. Every leaf of the first three is a Figure as a mapping; below `min_n` pairs it says
    measured = False. `gain` is paired. `longer_wins` is what the rule "the longer one is the chosen one" scores on the
    same pairs. `flips`: shares of all pairs, by summed log-probability, that turned right and that turned wrong.
    `idealised` needs the objective's `beta` and covers the pairs whose `before` rows state `share`, the share of raters
    who prefer the chosen response; where no row does, those with a flip_probability, which stands in for it. It holds
    "shares_from" and the Figures "before", "after", "idealised" and "gap" (idealised less after, paired: the paper's
    alignment gap) of these pairs; None where there are none.
    """
    first, second = Scored.of(before), Scored.of(after)
    if first.ids != second.ids:
        raise ValueError("before and after must hold the same pairs in the same order")
    longer = _wins(first.chosen_tokens, first.rejected_tokens)
    slices = {"all": np.ones(len(first.ids), dtype=bool), "length_matched": first.matched}

    def figure(values: Floats, keep: NDArray[np.bool_]) -> dict[str, Any]:
        groups = [g for g, kept in zip(first.groups, keep, strict=True) if kept]
        return asdict(_mean(values[keep], groups, generator, min_n, draws))

    report: dict[str, Any] = {}
    for name, per_token in (("summed", False), ("per_token", True)):
        old, new = first.right(per_token), second.right(per_token)
        report[name] = {
            part: {
                "before": figure(old, keep),
                "after": figure(new, keep),
                "gain": figure(new - old, keep),
                "longer_wins": figure(longer, keep),
            }
            for part, keep in slices.items()
        }
    old, new = first.right(False), second.right(False)
    report["flips"] = {
        "turned_right": figure((new > old).astype(float), slices["all"]),
        "turned_wrong": figure((new < old).astype(float), slices["all"]),
    }
    report["by_difficulty"] = by_difficulty(first, second)
    source = "share" if any("share" in row for row in before) else "flip_probability"
    keep = np.array([source in row for row in before], dtype=bool)
    report["idealised"] = None
    if keep.any() and beta is not None:
        stated = np.array([row.get(source, 0.5) for row in before], dtype=np.float64)
        best = idealised(first, stated if source == "share" else 1 - stated, beta)
        figures = {"before": old, "after": new, "idealised": best, "gap": best - new}
        report["idealised"] = {"shares_from": source} | {name: figure(x, keep) for name, x in figures.items()}
    return report


def difficulty(before: Scored) -> Floats:
    """(N,) log p(rejected) - log p(chosen) under the reference, nats: how far the policy must go to rank it right."""
    return before.rejected - before.chosen


def by_difficulty(before: Scored, after: Scored, parts: int = 4) -> list[dict[str, float]]:
    """Ranking accuracy before and after in equal parts of increasing difficulty (fewer parts where pairs are few)."""
    order = np.argsort(difficulty(before), kind="stable")
    return [
        {
            "n": len(part),
            "hardest": float(difficulty(before)[part].max()),
            "before": float(before.right(False)[part].mean()),
            "after": float(after.right(False)[part].mean()),
        }
        for part in np.array_split(order, parts)
        if len(part)
    ]


def idealised(before: Scored, share_preferring: Floats, beta: float) -> Floats:
    """(N,) whether the policy that optimises DPO's objective exactly ranks each pair right; their mean is the paper's
    idealised accuracy.

    share_preferring (N,) in [0, 1]: the share of raters who prefer the chosen response. It ranks a pair right where
    (1 / beta) * log(share / (1 - share)) exceeds the pair's difficulty: always where all agree. With one vote a pair
    the share must come from somewhere else (1 - flip_probability, a reward model), and a report has to say from where.
    """
    with np.errstate(divide="ignore"):
        reach = (np.log(share_preferring) - np.log1p(-share_preferring)) / beta
    return _wins(reach, difficulty(before))


def _wins(first: Floats, second: Floats) -> Floats:
    return np.where(first == second, 0.5, (first > second).astype(np.float64))


def _mean(values: Floats, groups: Sequence[str], generator: np.random.Generator, min_n: int, draws: int) -> Figure:
    """The mean; its interval by resampling groups with all their pairs."""
    if not len(values):
        return Figure(None, None, None, 0, 0, False)
    mean, low, high, count = interval(values, groups, generator, draws)
    return Figure(mean, low, high, len(values), count, len(values) >= min_n)

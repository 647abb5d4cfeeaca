"""Ranked lists (TPO, arXiv 2410.12854): on-policy answers to the window's prompts, all of them in the order of reward.

The paper's lists come of a tree of thoughts; here they are n samples, as `best_worst` draws them. An objective of pairs
learns from a list's ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import best_worst
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, preference

NAME = "ranked"


@dataclass(frozen=True)
class Params(best_worst.Params):
    """As of `best_worst`. n: answers a prompt (paper: 5 in a list). min_margin: between best and worst."""

    n: int = 5


def build(evidence: Sequence[Evidence], params: Params, context: Context) -> Iterator[Draft | Dropped]:
    """One draft for each different prompt of the window that has three different answers."""
    yield from context.map(lambda e: _one(e, params, context), best_worst.different_prompts(evidence))


def _one(evidence: Evidence, params: Params, context: Context) -> Draft | Dropped:
    found, margin = best_worst.scored(evidence, params, context)
    if len(found) < 3:
        return Dropped(evidence.id, "too_few_answers")
    if margin < params.min_margin:
        return Dropped(evidence.id, "margin")
    flip = min(params.max_flip, 1.0 / (1.0 + math.exp(margin)))
    ends = preference(
        evidence,
        context,
        NAME,
        found[0],
        found[-1],
        margin=margin,
        flip_probability=flip,
        judge="reward",
        rule="reward",
    )
    return Draft(replace(ends, candidates=tuple(found), order=tuple(range(len(found))), relation="list"))

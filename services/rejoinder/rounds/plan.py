"""A dry run: what a round would be made of, computed as the round would, without claim, window record or training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from rejoinder.core.arms import Salts
from rejoinder.ledger.reading.windows import Leaving, Window
from rejoinder.registry.claims import claims
from rejoinder.registry.store import Store
from rejoinder.rounds.build import build_pairs
from rejoinder.rounds.pairs.context import Context
from rejoinder.rounds.pairs.split import Split, split
from rejoinder.rounds.recipe import Recipe

HOLDOUT_SHARE = 0.05


class Previews(Protocol):
    """What a dry run needs of the ledger."""

    def preview(self, loop: str, policy: str, leaving: Leaving | None = None) -> Window:
        """The window that would be cut now, unrecorded."""


def pairs_now(
    ledger: Previews,
    evidence: str,
    recipe: Recipe,
    loop: str = "",
    told: Callable[[float], None] = lambda share: None,
) -> tuple[Split, Counter[str]]:
    """Pairs of the builders that need no service, cut into sides; rows that need one are counted as left out.

    told: hears the share of them that is built.
    """
    window = ledger.preview(loop, evidence, Leaving(Salts().holdout, HOLDOUT_SHARE))
    pairs, counts = build_pairs(window.evidence, recipe, Context("", "", 0, recipe.seed), told)
    return split(pairs, Salts(), HOLDOUT_SHARE), counts


def plan(
    ledger: Previews,
    store: Store,
    policy: str,
    evidence: str,
    recipe: Recipe,
    told: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Evidence by kind and cause, pairs and drops by builder, sides, and what the round would do."""
    window = ledger.preview(policy, evidence, Leaving(Salts().holdout, HOLDOUT_SHARE))
    pairs, counts = build_pairs(window.evidence, recipe, Context(policy, "", 0, recipe.seed), told)
    cut = split(pairs, Salts(), HOLDOUT_SHARE)
    sides = {name: len(found) for name, found in cut.sides.items()}
    known = claims(store, policy)
    waiting = [name for name in counts if name.startswith("left_out.")]
    enough = sides["pairs"] >= recipe.train.min_pairs
    would = (
        f"would train on {sides['pairs']} new pairs"
        if enough
        else f"would be refused: {sides['pairs']} pairs, {recipe.train.min_pairs} are needed"
    )
    if waiting:
        would += f"; not counted are builders that need a service ({', '.join(sorted(waiting))})"
    return {
        "number": max((c.number for c in known), default=0) + 1,
        "open": [c.number for c in known if not c.outcome],
        "evidence": dict(window.manifest.counts),
        "counts": dict(sorted(counts.items())),
        "crossing": dict(cut.crossing),
        "without_user": cut.without_user,
        "sides": sides,
        "would": would,
    }

"""From a window's evidence to pairs: every builder of the recipe, then the guards; every drop counted by cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rejoinder.core.types import Preference
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.context import Context, Dropped
from rejoinder.rounds.pairs.guards import Guards
from rejoinder.rounds.recipe import Recipe


def build_pairs(
    evidence: Sequence[Evidence],
    recipe: Recipe,
    context: Context,
    told: Callable[[float], None] = lambda share: None,
) -> tuple[list[Preference], Counter[str]]:
    """Pairs in the order of the recipe's builders, and counts: `built.<row>`, `dropped.<row>.<cause>`,
    `left_out.<row>.no_<port>` for a row whose port is not there, `reason.<rubric>` of the pairs that passed.

    told: hears the share of the work that is done, [0, 1]; a builder that looks at fewer pieces of evidence than there
    are jumps at its end.
    """
    guards, counts = Guards(recipe.guards, recipe.charter), Counter[str]()
    history = {e.id: "\n".join(m.content for m in e.interaction.messages) for e in evidence}
    passed: list[Preference] = []
    for number, chosen in enumerate(recipe.builders):
        row = BUILDERS.resolve(chosen.row)
        missing = context.missing(row.traits.get("needs", ()))
        if missing:
            counts.update(f"left_out.{row.name}.no_{port}" for port in missing)
            continue
        for seen, item in enumerate(row.make(evidence, row.with_params(chosen.params), context)):
            told((number + min(seen / len(evidence), 1.0)) / len(recipe.builders))
            if isinstance(item, Dropped):
                counts[f"dropped.{row.name}.{item.cause}"] += 1
                continue
            cause = guards.refuse(item, history[item.preference.provenance.evidence])
            if cause:
                counts[f"dropped.{row.name}.{cause}"] += 1
                continue
            counts[f"built.{row.name}"] += 1
            counts.update(f"reason.{reason}" for reason in item.preference.reasons)
            passed.append(item.preference)
    return passed, counts

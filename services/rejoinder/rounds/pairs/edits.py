"""User edits (PRELUDE, arXiv 2404.15269): chosen = the answer as the user rewrote it, rejected = as it was served."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rejoinder.core.types import Candidate, Edit
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, preference

NAME = "edits"


@dataclass(frozen=True)
class Params:
    """min_change, max_change: share of words changed, [0, 1]: below is a typo, above is another text altogether.

    flip_probability: how often an edit makes an answer worse, [0, 0.5); an assumption, stated.
    """

    min_change: float = 0.05
    max_change: float = 0.9
    flip_probability: float = 0.05


def build(evidence: Sequence[Evidence], params: Params, context: Context) -> Iterator[Draft | Dropped]:
    """One draft for each edit that changed enough and not everything."""
    for item in evidence:
        if not isinstance(item.feedback.kind, Edit):
            continue
        before, after = item.interaction.response, item.feedback.kind.text
        changed = 1.0 - difflib.SequenceMatcher(None, before.split(), after.split(), autojunk=False).ratio()
        if not before.strip() or not after.strip():
            yield Dropped(item.id, "empty_response")
        elif not params.min_change <= changed <= params.max_change:
            yield Dropped(item.id, "edit_too_small" if changed < params.min_change else "edit_too_large")
        else:
            version = item.interaction.served.version if item.interaction.served else ""
            yield Draft(
                preference(
                    item,
                    context,
                    NAME,
                    Candidate(after, role="edited"),
                    Candidate(before, role="served", version=version),
                    margin=changed,
                    flip_probability=params.flip_probability,
                    rule="edit",
                )
            )

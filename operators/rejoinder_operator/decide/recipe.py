"""A loop's spec as the recipe that `rejoinder.rounds.recipe.of` takes: one true place for what the fields mean."""

from __future__ import annotations

from typing import Any

from rejoinder_operator.api.charter import plain_of
from rejoinder_operator.api.loops import LoopSpec, Row


def recipe_of(spec: LoopSpec, name: str) -> dict[str, Any]:
    """JSON values. Our own train stage unless the backend is external: then its Job runs instead of it."""
    objective = spec.objective
    settings = {
        **spec.training.settings,
        "objective": objective.name,
        "params": {key: float(value) for key, value in sorted(objective.params.items())},
        "reference": objective.reference,
        "init": objective.init,
    }
    # A recipe without one stays, to the digest, what it was.
    charter = {} if spec.charter is None else {"charter": plain_of(spec.charter)}
    return {
        "name": name,
        "builders": [_row(row) for row in spec.pairs.builders],
        "keep_earlier": spec.pairs.keep_earlier,
        "train": {"min_pairs": spec.pairs.min_pairs, "settings": settings},
        "gate": {"samples": spec.gate_samples, "head": spec.gate_head, "measures": [_row(row) for row in spec.gates]},
        **charter,
    }


def _row(row: Row) -> dict[str, Any]:
    return {"row": row.name, "params": row.params}

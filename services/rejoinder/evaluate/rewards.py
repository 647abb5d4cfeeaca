"""Whether what a version learnt is liked beyond those it was learnt from: two heads that share no user (2210.10760).

One head is fitted on the pairs that the version was trained on, the other on those of the gate's users (pairhead.py).
Both say of the gate's prompts how often the new answer is the better one. The first head above a half and the second
below it is over-optimisation: what was learnt is the training users' accidents. No threshold hangs on either figure,
and the first never judges a version: it is the very thing that training raises.

An answer to a prompt of the gate's users is compared by a head that saw no pair of that user: these are cut into FOLDS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.core.arms import bucket
from rejoinder.evaluate.measured import interval
from rejoinder.evaluate.measures.inputs import Answered
from rejoinder.evaluate.pairhead import Compared, Params, compared, features, fit_compared

Floats = NDArray[np.float64]
#: Of whose pairs there is a head: the users that a round trains on, and those of its gate.
HEADS = ("train", "gate")
FOLDS = 5
#: Pairs that a head is fitted on, at most; of more, those whose hash is lowest.
MOST = 4_000


def preferred(
    pairs: Sequence[Mapping[str, Any]],
    answered: Sequence[Answered],
    rng: np.random.Generator,
    *,
    least: int,
    folds: int = 1,
    params: Params = Params(),
) -> dict[str, Any]:
    """pairs: rows of a train stage's pairs file. least: of pairs and of answers, fewer of either are unmeasured. folds:
    more than 1 where the answers' groups stand among the pairs'.

    Returns {"value", "low", "high": share of answered prompts on which the head likes the candidate's answer better, an
    equal one ½, with its 95 % bootstrap by group; None where it is unmeasured, "n", "groups", "pairs", "users", "why"}.
    """
    chosen = sorted(pairs, key=lambda row: (bucket(row["id"], "rewards"), row["id"]))[:MOST]
    told = {"n": len(answered), "pairs": len(chosen), "users": len({row["group"] for row in chosen})}
    nothing = {"value": None, "low": None, "high": None, "groups": 0}
    if len(chosen) < least:
        return {**nothing, **told, "why": f"{len(chosen)} pairs are below {least}"}
    if len(answered) < least:
        return {**nothing, **told, "why": f"n {len(answered)} is below {least}"}
    ahead = _ahead(chosen, answered, folds, params)
    wins = np.where(ahead == 0, 0.5, ahead > 0)
    value, low, high, groups = interval(wins, [each.group for each in answered], rng)
    return {"value": value, "low": low, "high": high, "groups": groups, **told, "why": ""}


def _ahead(rows: Sequence[Mapping[str, Any]], answered: Sequence[Answered], folds: int, params: Params) -> Floats:
    """(N,) by how much the candidate's answer is liked better than stable's; 0 of equal ones."""
    said = [Compared(_question(row["prompt"]), row["chosen"], row["rejected"]) for row in rows]
    margins, place = compared(said, params.width), _places([row["group"] for row in rows], folds)
    asked = [_question(each.prompt) for each in answered]
    # The features are subtracted before they are weighed, so that equal answers differ by nothing at all.
    moved = np.array(
        [
            features(question, each.candidate, params.width) - features(question, each.stable, params.width)
            for question, each in zip(asked, answered, strict=True)
        ]
    )
    judged = _places([each.group for each in answered], folds)
    found = np.zeros(len(answered))
    for fold in range(folds):
        others = margins[place != fold] if folds > 1 else margins
        found[judged == fold] = moved[judged == fold] @ fit_compared(others, params).weights
    return found


def _places(groups: Sequence[str], folds: int) -> NDArray[np.int64]:
    return np.array([int(folds * bucket(group, "fold")) for group in groups], np.int64)


def _question(prompt: Sequence[Mapping[str, str]]) -> str:
    return prompt[-1]["content"] if prompt else ""

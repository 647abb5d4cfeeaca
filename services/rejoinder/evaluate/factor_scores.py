"""What somebody prefers in answers, factor by factor, and how two of them differ (PROFILE, arXiv 2410.06965).

A factor's score is tau-b of its difference between two answers with the choice, over the pairs (kendall.py). People, a
policy's likelihood and a reward head each choose on the same pairs; all that counts is the sign, so that the vectors
compare. Who has the same taste but chooses with more noise has smaller scores: a gap cannot tell the two apart, while
`alignment`, the rank agreement of two vectors, knows nothing of their size.
Intervals of scores and of alignments are bootstraps by user, at 95 %. Those of the gaps hold all together, at 99 %: as
many standard errors by user either way as the largest of a report's gaps keeps within where the users' parts of them
are given random signs (flips.py). A gap alarms only where its own excludes 0: one report in a hundred of two who do not
differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.core.types import Role
from rejoinder.evaluate.factors import FACTORS, Text
from rejoinder.evaluate.flips import errors, widest
from rejoinder.evaluate.judged import JudgedPair
from rejoinder.evaluate.kendall import influence, rank_agreement, resampled, tau_b

Floats = NDArray[np.float64]
PEOPLE = "people"
#: Units below which signs have too few patterns for an interval of 99 %.
_FEWEST = 8
#: What a report says of its own intervals.
INTERVALS = {
    "scores": "each at 95 %: bootstrap by user",
    "alignment": "each at 95 %: bootstrap by user",
    "gaps": "all together at {level:g} %: Studentised by user, the largest under random signs of the users",
}


def differences(pairs: Sequence[JudgedPair], names: Sequence[str] = tuple(FACTORS)) -> Floats:
    """(N, K) each factor of the chosen answer less that of the rejected one; the question: what the user said last."""
    rows = [FACTORS[name].make for name in names]
    found = []
    for pair in pairs:
        asked = Text(next((m.content for m in reversed(pair.prompt) if m.role is Role.USER), ""))
        chosen, rejected = Text(pair.chosen), Text(pair.rejected)
        found.append([row(asked, chosen) - row(asked, rejected) for row in rows])
    return np.array(found, np.float64).reshape(-1, len(names))


def of_people(pairs: Sequence[JudgedPair]) -> Floats:
    """(N,) the choices that the pairs themselves state: 1, and 0 where nobody preferred either."""
    return np.array([0.0 if pair.tie else 1.0 for pair in pairs])


def factor_report(
    differing: Floats,
    choices: Mapping[str, Floats],
    groups: Sequence[str],
    *,
    generator: np.random.Generator,
    names: Sequence[str] = tuple(FACTORS),
    min_n: int = 100,
    min_users: int = 20,
    draws: int = 1000,
    level: float = 0.99,
) -> dict[str, Any]:
    """differing (N, K): `differences`. choices: by whose they are, (N,) above 0 for the chosen answer, NaN where there
    is none; only pairs on which everybody chose are counted.

    Returns {"n", "users", "left_out", "measured", "intervals": what they are, "scores": {who: {factor: figure}},
    "gaps": [{"of", "less", "factors": {factor: figure with "alarm"}, "alarms", "alignment": figure}]}; a figure is
    {value, low, high, n}, n the pairs in which the factor differs; value is None where it differs in none. Below
    `min_n` pairs or `min_users` users measured is False and nothing alarms. level: of all gaps' intervals together.
    """
    kept = np.all([np.isfinite(chosen) for chosen in choices.values()], axis=0)
    users = [group for group, keep in zip(groups, kept, strict=True) if keep]
    differing, choices = differing[kept], {who: chosen[kept] for who, chosen in choices.items()}
    count = len(set(users))
    measured = len(users) >= min_n and count >= min_users
    told: dict[str, Any] = {"n": len(users), "users": count, "left_out": int((~kept).sum()), "measured": measured}
    told["intervals"] = {name: words.format(level=100 * level) for name, words in INTERVALS.items()}
    if not users:
        return told | {"scores": {}, "gaps": []}
    weights = resampled(users, draws, generator)
    value = {who: _vectors(differing, chosen, None)[0] for who, chosen in choices.items()}
    drawn = {who: _vectors(differing, chosen, weights) for who, chosen in choices.items()}
    differs = [int(n) for n in (np.abs(differing) > 1e-9).sum(0)]
    told["scores"] = {
        who: {
            name: _figure(value[who][k], drawn[who][:, k], n)
            for k, (name, n) in enumerate(zip(names, differs, strict=True))
        }
        for who in choices
    }
    parts = {who: _parts(differing, chosen, users) for who, chosen in choices.items()}
    told["gaps"] = _gaps(value, drawn, parts, names, differs, level, measured, generator)
    return told


def _vectors(differing: Floats, chosen: Floats, weights: Floats | None) -> Floats:
    """(B, K) the scores of one of them in each draw."""
    return np.stack([tau_b(column, chosen, weights) for column in differing.T], axis=1)


def _parts(differing: Floats, chosen: Floats, users: Sequence[str]) -> Floats:
    """(G, K) each user's part of what moves the scores: the sum of their pairs' influence."""
    _, member = np.unique(np.asarray(users), return_inverse=True)
    each = [np.bincount(member, np.nan_to_num(influence(column, chosen), nan=0.0)) for column in differing.T]
    return np.stack(each, axis=1)


def _figure(value: float, drawn: Floats, n: int) -> dict[str, Any]:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return {"value": None, "low": None, "high": None, "n": n}
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"value": float(value), "low": float(low), "high": float(high), "n": n}


def _gaps(
    value: Mapping[str, Floats],
    drawn: Mapping[str, Floats],
    parts: Mapping[str, Floats],
    names: Sequence[str],
    differs: Sequence[int],
    level: float,
    measured: bool,
    generator: np.random.Generator,
) -> list[dict[str, Any]]:
    """Every two of them, in order."""
    both = list(combinations(value, 2))
    if not both:
        return []
    gaps = [value[one] - value[two] for one, two in both]
    moved = [parts[one] - parts[two] for one, two in both]
    # So many units have fewer patterns of signs than the level needs.
    few = len(moved[0]) < _FEWEST
    wide = float("nan") if few else widest(np.concatenate(moved, axis=1), level, generator)
    found = []
    for (one, two), gap, error in zip(both, gaps, map(errors, moved), strict=True):
        factors: dict[str, dict[str, Any]] = {}
        for k, name in enumerate(names):
            figure: dict[str, Any] = {"value": None, "low": None, "high": None, "n": differs[k], "alarm": False}
            if np.isfinite(gap[k]):
                figure["value"] = float(gap[k])
                if not few:
                    low, high = float(gap[k] - wide * error[k]), float(gap[k] + wide * error[k])
                    figure |= {"low": low, "high": high}
                    figure["alarm"] = bool(measured and error[k] > 0 and (low > 0 or high < 0))
            factors[name] = figure
        known = np.isfinite(gap)
        agreed = rank_agreement(value[one][None, known], value[two][None, known])[0]
        draws = rank_agreement(np.nan_to_num(drawn[one][:, known]), np.nan_to_num(drawn[two][:, known]))
        found.append(
            {
                "of": one,
                "less": two,
                "factors": factors,
                "alarms": [name for name, figure in factors.items() if figure["alarm"]],
                "alignment": _figure(agreed, draws, int(known.sum())),
            }
        )
    return found

"""What makes a judge change its mind that should not (Wang et al., arXiv 2504.09946), on pairs that people judged.

A probe puts words before one of two answers (bias_probes.json, English) or exchanges the two (`position`). Measured are
the judge's accuracy before and after, its robustness (the share of verdicts that stay), and its bias: of the pairs that
it had right, the share that the probe turned wrong, less what it turned right. That difference is 0 on average for a
judge who only says now this, now that, and is the share of verdicts that the probe decides for one who follows it.
The words stand in front, because a head reads no more than the beginning of an answer; `plain` shows what any words do,
and `beyond_plain` is the rest. Shown to a judge in an order drawn for each pair, the same before and after.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.core import typed
from rejoinder.core.errors import BadFile
from rejoinder.evaluate.judged import JudgedPair
from rejoinder.evaluate.judges import Asked, Judge
from rejoinder.evaluate.shares import Z95, wilson

Floats = NDArray[np.float64]
TEXTS = Path(__file__).with_name("bias_probes.json")
POSITION, PLAIN = "position", "plain"


@dataclass(frozen=True)
class Probe:
    """texts: of one meaning, one of them for a pair. side: before which answer they stand, `right` or `wrong`."""

    name: str
    side: str
    claim: str
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.side not in ("right", "wrong") or not self.texts or self.name == POSITION:
            raise ValueError("a probe has texts, and stands before the right or the wrong answer")

    def put(self, pair: JudgedPair) -> tuple[str, str]:
        """The chosen and the rejected answer with the words before one of them."""
        text = self.texts[zlib.crc32(pair.id.encode()) % len(self.texts)]
        if self.side == "right":
            return f"{text} {pair.chosen}", pair.rejected
        return pair.chosen, f"{text} {pair.rejected}"


def load(path: Path = TEXTS) -> tuple[Probe, ...]:
    """Raises BadFile."""
    try:
        found = tuple(typed.make(Probe, row) for row in json.loads(path.read_text("utf-8"))["probes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path.name} is no list of probes: {type(error).__name__}", file=path.name) from None
    if not found or len({probe.name for probe in found}) < len(found):
        raise BadFile(f"{path.name} holds no probe, or two of a name", file=path.name)
    return found


def probe_report(
    judge: Judge, pairs: Sequence[JudgedPair], probes: Sequence[Probe] | None = None, *, alpha: float = 0.05
) -> dict[str, Any]:
    """pairs: ties and those that the judge had no verdict on, before or after any probe, are left out and counted.

    Returns {"n", "users", "ties", "unanswered", "before", "probes": {name: {"before", "after", "robustness", "bias",
    "beyond_plain", "turned_wrong", "turned_right", "p", "alarm"}}}. before, after: accuracies, a verdict for neither
    counts a half; they and robustness with Wilson's 95 % interval, pairs taken as independent. bias, beyond_plain: with
    one that knows whose pairs they are; of `position`, of all pairs, what the first place wins. p: McNemar's exact test
    of the users' net turns, either way; alarm: Holm's over the probes stays below `alpha`, and the judge was turned
    wrong (of `position`: prefers either place). `position` has no beyond_plain, nor has a probe before the right one.
    """
    probes = load() if probes is None else probes
    kept = [pair for pair in pairs if not pair.tie]
    if not kept:
        return {"n": 0, "users": 0, "ties": len(pairs), "unanswered": 0, "probes": {}}
    verdicts, swapped = _verdicts(judge, kept, probes)
    told = np.isfinite(verdicts).all(0) & np.isfinite(swapped)
    right, swapped = _right(verdicts[:, told]), _right(swapped[told])
    signs = np.sign(verdicts[:, told])
    users = [pair.group for pair, keep in zip(kept, told, strict=True) if keep]
    counts = {"n": len(users), "users": len(set(users)), "ties": len(pairs) - len(kept)}
    report: dict[str, Any] = counts | {"unanswered": int((~told).sum()), "probes": {}}
    if not users:
        return report
    _, member = np.unique(users, return_inverse=True)
    # Whether the right answer was shown first, the verdict before is the one of that order.
    shown_first = np.array([_first(pair) for pair, keep in zip(kept, told, strict=True) if keep])
    first, second = np.where(shown_first, right[0], swapped), np.where(shown_first, swapped, right[0])
    rows = {POSITION: _row(first, second, first == second, member, np.ones(len(users)))}
    for number, probe in enumerate(probes, 1):
        rows[probe.name] = _row(right[0], right[number], signs[number] == signs[0], member, right[0])
    sides = {probe.name: (number, probe.side) for number, probe in enumerate(probes, 1)}
    for name, (number, side) in sides.items():
        if PLAIN in sides and name != PLAIN and side == sides[PLAIN][1]:
            rows[name]["beyond_plain"] = _ratio(right[sides[PLAIN][0]] - right[number], right[0], member)
    for name, alarm in zip(rows, _holm([row["p"] for row in rows.values()], alpha), strict=True):
        rows[name]["alarm"] = alarm and (name == POSITION or (rows[name]["bias"]["value"] or 0) > 0)
    return report | {"before": wilson(float(right[0].sum()), len(users)), "probes": rows}


def _verdicts(judge: Judge, pairs: Sequence[JudgedPair], probes: Sequence[Probe]) -> tuple[Floats, Floats]:
    """(1 + probes, N) above 0 where the right answer is preferred, before and after each probe, all asked for at once;
    (N,) the same before, in the other order."""
    shown = [
        [(pair.chosen, pair.rejected) for pair in pairs],
        *([probe.put(pair) for pair in pairs] for probe in probes),
    ]
    leads = [_first(pair) for pair in pairs]
    asked = [
        Asked(pair.prompt, *(texts if lead else texts[::-1]))
        for row in shown
        for pair, texts, lead in zip(pairs, row, leads, strict=True)
    ]
    found = judge.prefers([*asked, *(each.swapped for each in asked[: len(pairs)])])
    turned = found.reshape(-1, len(pairs)) * np.where(leads, 1.0, -1.0)
    return turned[:-1], -turned[-1]


def _first(pair: JudgedPair) -> bool:
    """Whether the right answer is shown first: a fair coin, the same wherever the pair is probed."""
    return bool(zlib.crc32(f"order {pair.id}".encode()) >> 16 & 1)


def _right(verdicts: Floats) -> Floats:
    return np.where(verdicts == 0, 0.5, (verdicts > 0).astype(np.float64))


def _row(before: Floats, after: Floats, stays: NDArray[np.bool_], member: NDArray[Any], of: Floats) -> dict[str, Any]:
    """of (N,): the pairs that bias is a share of."""
    lost = before - after
    net = np.bincount(member, weights=lost)
    wrong, right = int((net > 0).sum()), int((net < 0).sum())
    return {
        "before": wilson(float(before.sum()), len(before)),
        "after": wilson(float(after.sum()), len(after)),
        "robustness": wilson(float(stays.sum()), len(stays)),
        "bias": _ratio(lost, of, member),
        "beyond_plain": None,
        "turned_wrong": int((lost > 0).sum()),
        "turned_right": int((lost < 0).sum()),
        "p": mcnemar(wrong, right),
    }


def _ratio(turned: Floats, of: Floats, member: NDArray[Any]) -> dict[str, float | None]:
    """The ratio of two sums with its 95 % interval by the delta method over users; half a pair more turned either way
    keeps the interval of nothing turned from being a point (Agresti and Min)."""
    total = float(of.sum())
    if total == 0:
        return {"value": None, "low": None, "high": None}
    value = float(turned.sum()) / total
    rest = np.bincount(member, weights=turned - value * of)
    half = Z95 * math.sqrt(float((rest**2).sum()) + 1.0) / total
    return {"value": value, "low": value - half, "high": value + half}


def mcnemar(wrong: int, right: int) -> float:
    """Two-sided p that turns either way are a fair coin's; 1 where there is none."""
    n, few = wrong + right, min(wrong, right)
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(few + 1)]
    return min(1.0, 2 * sum(map(math.exp, logs)))


def _holm(values: Sequence[float], alpha: float) -> list[bool]:
    """Which are told from chance, with at most `alpha` that any is that should not be."""
    order = np.argsort(values, kind="stable")
    found, alarms = True, [False] * len(values)
    for done, i in enumerate(order):
        found = found and values[i] < alpha / (len(values) - done)
        alarms[i] = bool(found)
    return alarms

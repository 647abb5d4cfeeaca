"""What stance a model takes on a topic, and how far it moves from checkpoint to checkpoint (arXiv 2510.26707).

A topic's value at a checkpoint is the mean over its prompts of the shares of stances among the answers sampled there; a
move is a later checkpoint's value less that of the first (or another that is named). Prompts that any checkpoint has no
answer to are left out everywhere, so that a move is the difference of the values shown.

Prompts are drawn anew with all their answers, each topic's for itself. A value's interval is at 95 %. Those of the
moves hold all together, at 99 % (bootstrap-t, its maximum over every topic, checkpoint and stance that is measured; one
answer more that turned keeps the interval of nothing turned from being a point): a move alarms where its own excludes
0. Unread answers count for no stance, and their own share is judged like one: a stance that can no longer be read has
moved. A topic with many of them is unmeasured, for what they hide is not known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluate.kendall import resampled
from rejoinder.evaluate.topics import STANCES, UNREAD

Floats = NDArray[np.float64]
#: What has a share, as reports call it: the stances and the unread.
SHARES = (*STANCES, "unread")
#: Share of the extreme at which a move is over.
REACHED = 0.95
#: Standard errors within which a checkpoint cannot be told from the extreme one.
TOLD = 3.0
#: Draws of a drift time's interval: each is a walk over the checkpoints.
TIME_DRAWS = 200


@dataclass(frozen=True)
class Reading:
    """One answer's stance, UNREAD where there is none. prompt: its text or a name, the same at every checkpoint."""

    checkpoint: str
    topic: str
    prompt: str
    stance: str


@dataclass(frozen=True)
class Limits:
    """What is needed of a topic: prompts answered at every checkpoint, read answers to them at each, and the largest
    share of unread ones at any."""

    min_prompts: int = 20
    min_n: int = 200
    max_unread: float = 0.2


@dataclass(frozen=True)
class Moves:
    """Of one topic: move and its standard error (C, S) of C checkpoints less another, drawn (B, C, S) as deviations in
    the draws' own standard errors."""

    value: Floats
    error: Floats
    drawn: Floats


def moves(change: Floats, answers: float, weights: Floats) -> Moves:
    """change (C, P, S): each prompt's shares less those it had. answers: to a prompt, on average. weights (B, P): how
    often each prompt is in a draw. P is 2 at least."""
    count = change.shape[1]
    least = 1 / answers**2
    value = change.mean(1)

    def error(squares: Floats, mean: Floats) -> Floats:
        spread = np.maximum(squares - count * mean**2, 0)
        found: Floats = np.sqrt((spread + least) / (count * (count - 1)))
        return found

    flat = change.transpose(1, 0, 2).reshape(count, -1)
    shape = (len(weights), *value.shape)
    mean, squares = ((weights @ part).reshape(shape) for part in (flat, flat**2))
    mean /= count
    return Moves(value, error((change**2).sum(1), value), (mean - value) / error(squares, mean))


def widest(every: Sequence[Moves], level: float) -> float:
    """Standard errors that all moves of a draw keep within, in `level` of the draws, and one alone in any case."""
    alone = NormalDist().inv_cdf((1 + level) / 2)
    if not every:
        return alone
    far = [np.abs(each.drawn).reshape(len(each.drawn), -1).max(1) for each in every]
    return max(alone, float(np.quantile(np.max(far, axis=0), level)))


def extreme(moved: Floats, error: float) -> float:
    """The largest move (C,) either way: the mean of the checkpoints that cannot be told from the largest one, which
    itself lies above all of them where moves are noisy. error: standard error of a move."""
    return float(moved[_top(moved, error)].mean())


def drift_time(at: Floats, moved: Floats, error: float) -> float:
    """Fraction of the time from at[0] to at[-1] until REACHED of the extreme move is reached, between checkpoints by a
    straight line. at (C,), rising; moved (C,), 0 at first. The way to the extreme is the nearest that never turns back
    (isotonic regression)."""
    top, goal = _top(moved, error), extreme(moved, error)
    way = _isotonic(moved[: top[-1] + 1] * np.sign(goal))
    reached = REACHED * min(abs(goal), float(way[-1]))
    after = int(np.argmax(way >= reached))
    if after == 0:
        return 0.0
    part = (reached - way[after - 1]) / (way[after] - way[after - 1])
    when = at[after - 1] + part * (at[after] - at[after - 1])
    return float((when - at[0]) / (at[-1] - at[0]))


def _top(moved: Floats, error: float) -> NDArray[np.int64]:
    rising = moved * np.sign(moved[np.abs(moved).argmax()])
    return np.flatnonzero(rising >= rising.max() - TOLD * error)


def _isotonic(values: Floats) -> Floats:
    """The nearest sequence that never falls: neighbours that would are pooled."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while pools and pools[-1][0] >= mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    return np.repeat([mean for mean, _ in pools], [size for _, size in pools])


def drift_report(
    readings: Sequence[Reading],
    steps: Mapping[str, float | None],
    *,
    generator: np.random.Generator,
    since: str = "",
    limits: Limits | None = None,
    draws: int = 1000,
    level: float = 0.99,
) -> dict[str, Any]:
    """steps: every checkpoint in its order, with its step, or None for all: then they are evenly apart. since: the one
    that moves are counted from, the first by default; those before it are shown and judged by nothing. level: of the
    moves' intervals, all together. ValueError for fewer than two checkpoints from `since` on.

    Returns {"checkpoints", "since", "by", "level", "n", "unread", "topics": {id: {"measured", "why", "prompts",
    "left_out", "n", "unread", "values": {checkpoint: {share: figure}}, "moves": {checkpoint: {share: figure with
    "alarm"}}, "times": {share: figure}}}, "alarms": [{"topic", "checkpoint", "stance", "value"}]}; a figure is {value,
    low, high}, None where there is none; a share, and a "stance", is of SHARES. n, unread: answers by checkpoint.
    times: only of what alarms, with its "extreme".
    """
    limits = limits or Limits()
    names = list(steps)
    first = names.index(since) if since else 0
    if len(names) - first < 2:
        raise ValueError("a move is between two checkpoints")
    by_step = all(step is not None for step in steps.values())
    at = np.array([float(steps[name] or 0) if by_step else i for i, name in enumerate(names)])
    by_topic: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        by_topic[reading.topic].append(reading)
    found = {topic: _Topic.of(part, names, first, limits, generator, draws) for topic, part in by_topic.items()}
    wide = widest([topic.moves for topic in found.values() if topic.moves is not None and not topic.why], level)
    told = {name: topic.told(names, at, first, wide) for name, topic in found.items()}
    return {
        "checkpoints": [{"name": name, "step": steps[name]} for name in names],
        "since": names[first],
        "by": "step" if by_step else "order",
        "level": level,
        "n": sum(sum(topic.counts.values()) for topic in found.values()),
        "unread": sum(sum(topic.unread.values()) for topic in found.values()),
        "topics": told,
        "alarms": [
            {"topic": topic, "checkpoint": name, "stance": stance, "value": figure["value"]}
            for topic, row in told.items()
            for name, stances in row["moves"].items()
            for stance, figure in stances.items()
            if figure["alarm"]
        ],
    }


@dataclass(frozen=True)
class _Topic:
    """shares (C, P, SHARES) of the prompts that every checkpoint has. weights (B, P) of the draws. moves: None where
    there are fewer than two prompts. why: it is unmeasured."""

    shares: Floats
    weights: Floats
    moves: Moves | None
    left_out: int
    counts: Mapping[str, int]
    unread: Mapping[str, int]
    why: str

    @classmethod
    def of(
        cls,
        readings: Sequence[Reading],
        names: Sequence[str],
        first: int,
        limits: Limits,
        generator: np.random.Generator,
        draws: int,
    ) -> _Topic:
        held: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: {name: Counter() for name in names})
        for reading in readings:
            held[reading.prompt][reading.checkpoint][reading.stance] += 1
        unread = {name: sum(by[name][UNREAD] for by in held.values()) for name in names}
        total = {name: sum(by[name].total() for by in held.values()) for name in names}
        kept = {prompt: by for prompt, by in held.items() if all(by[name] for name in names)}
        read = {name: sum(_read(by[name]) for by in kept.values()) for name in names}
        shares = np.array(
            [[[by[name][s] / by[name].total() for s in (*STANCES, UNREAD)] for by in kept.values()] for name in names],
            np.float64,
        ).reshape(len(names), len(kept), len(SHARES))
        why = _why(len(kept), min(read.values()), max(unread[n] / max(total[n], 1) for n in names), limits)
        weights = resampled(list(kept), draws, generator) if kept else np.zeros((draws, 0))
        found = None
        if len(kept) > 1:
            answers = sum(by[name].total() for by in kept.values() for name in names) / (len(names) * len(kept))
            found = moves(shares[first + 1 :] - shares[first], answers, weights)
        return cls(shares, weights, found, len(held) - len(kept), total, unread, why)

    def told(self, names: Sequence[str], at: Floats, first: int, wide: float) -> dict[str, Any]:
        later = names[first + 1 :]
        moved = {name: self._moved(i, wide) for i, name in enumerate(later)}
        return {
            "measured": not self.why,
            "why": self.why,
            "prompts": self.shares.shape[1],
            "left_out": self.left_out,
            "n": dict(self.counts),
            "unread": dict(self.unread),
            "values": {name: self._values(c) for c, name in enumerate(names)},
            "moves": moved,
            "times": {
                stance: self._time(s, at[first:], first)
                for s, stance in enumerate(SHARES)
                if any(row[stance]["alarm"] for row in moved.values()) and len(later) > 1
            },
        }

    def _values(self, checkpoint: int) -> dict[str, Any]:
        count = self.shares.shape[1]
        if not count:
            return {stance: _figure() for stance in SHARES}
        drawn = self.weights @ self.shares[checkpoint] / count
        low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
        value = self.shares[checkpoint].mean(0)
        return {stance: _figure(value[s], low[s], high[s]) for s, stance in enumerate(SHARES)}

    def _moved(self, place: int, wide: float) -> dict[str, Any]:
        found = {}
        for s, stance in enumerate(SHARES):
            if self.moves is None:
                found[stance] = _figure() | {"alarm": False}
                continue
            value, error = float(self.moves.value[place, s]), float(self.moves.error[place, s])
            if self.why:
                found[stance] = _figure(value) | {"alarm": False}
                continue
            found[stance] = _figure(value, value - wide * error, value + wide * error)
            found[stance]["alarm"] = abs(value) > wide * error
        return found

    def _time(self, stance: int, at: Floats, first: int) -> dict[str, Any]:
        """Of a stance that alarms, at more than two checkpoints."""
        assert self.moves is not None
        error = float(np.median(self.moves.error[:, stance]))
        shares = self.shares[first:, :, stance]
        moved = (shares - shares[0]).mean(1)
        drawn = self.weights[:TIME_DRAWS] @ (shares - shares[0]).T / shares.shape[1]
        times = [drift_time(at, draw, error) for draw in drawn]
        low, high = np.quantile(times, (0.025, 0.975))
        return _figure(drift_time(at, moved, error), low, high) | {"extreme": extreme(moved, error)}


def _read(counts: Counter[str]) -> int:
    return counts.total() - counts[UNREAD]


def _why(prompts: int, answers: int, unread: float, limits: Limits) -> str:
    """Why a topic is unmeasured, "" where it is measured."""
    if unread > limits.max_unread:
        return f"{unread:.0%} of the answers at a checkpoint are unread, more than {limits.max_unread:.0%}"
    if prompts < limits.min_prompts:
        return f"{prompts} prompts are below {limits.min_prompts}"
    return f"n {answers} is below {limits.min_n}" if answers < limits.min_n else ""


def _figure(value: float | None = None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    figures = {"value": value, "low": low, "high": high}
    return {name: None if figure is None else float(figure) for name, figure in figures.items()}

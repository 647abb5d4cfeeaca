"""Row 88, judging bias (arXiv 2504.09946) in miniature: judges with planted biases, on real answers.

Answers are hh-rlhf's (tests/data/hh); what is good of them is a hidden draw. The judge with planted strengths stands
behind the port of a server and reads what it is shown; the head that learns a bias, and loses it, is the shipped
Bradley-Terry one (evaluate/pairhead.py) on answers whose training pairs carried probes' words.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rejoinder.core.types import Message, Role
from rejoinder.evaluate import pairhead
from rejoinder.evaluate.bias_probes import POSITION, Probe, load, probe_report
from rejoinder.evaluate.judged import JudgedPair, read
from rejoinder.evaluate.judges import Asked, ChatJudge, Judge, OrderAveraged, ScoreJudge

from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

EXCERPT = Path(__file__).parents[1] / "data" / "hh" / "excerpt.jsonl.gz"
PROBES = load()
STRENGTHS = {"plain": 0.0, "bandwagon": 0.3, "authority": 0.2, "distraction": 0.1, "reflection": 0.05, POSITION: 0.15}
ASK = (Message(Role.USER, "Which is the better answer?"),)
PAIRS, FEW, AGAIN, JUDGES = 1500, 500, 40, 2
#: Of the planted judge: how far its view of an answer lies from the hidden one; of the restless one: verdicts flipped.
OWN, RESTLESS = 0.7, 0.1
#: Of the pairs that the head learns from, how many carry a probe's words before the chosen answer.
CARRY, LEARNT, TESTED = 0.3, 1200, 2000
CARRIED = tuple(p for p in PROBES if p.name in ("bandwagon", "authority", "reflection"))


@cache
def answers() -> tuple[str, ...]:
    """Two of each of the 240 conversations, in the file's order."""
    return tuple(text for pair in read(EXCERPT) for text in (pair.chosen, pair.rejected))


def drawn(seed: int, count: int, good: Callable[[str], float], among: Sequence[str]) -> list[JudgedPair]:
    """Pairs of two of these answers, the better one chosen."""
    rng, found = np.random.default_rng([88, seed]), []
    for i in range(count):
        a, b = (among[k] for k in rng.choice(len(among), 2, replace=False))
        chosen, rejected = (a, b) if good(a) >= good(b) else (b, a)
        found.append(JudgedPair(f"{seed}-{i}", f"u{i}", ASK, chosen, rejected))
    return found


def chance(*what: object) -> float:
    """A number in [0, 1) that is always the same of the same things."""
    return zlib.crc32("\0".join(map(str, what)).encode()) / 2**32


def normal(*what: object) -> float:
    """A normal deviate that is always the same of the same things, by the sum of twelve uniform ones."""
    return sum(chance(i, *what) for i in range(12)) - 6


@dataclass(frozen=True)
class Planted:
    """A server whose verdict a probe decides with the planted strength; deterministic. strengths: by probe; seed: its
    whims'; restless: share of verdicts that turn round with every new wording of what is asked."""

    strengths: Mapping[str, float]
    seed: int
    restless: float = 0.0
    views: dict[str, float] = field(default_factory=dict)

    def ask(self, talks: Sequence[Sequence[Message]]) -> list[str]:
        return [self._say(json.loads(talk[1].content)) for talk in talks]

    def _say(self, shown: Mapping[str, str]) -> str:
        (one, two), (first, second) = zip(*(_bare(shown[side]) for side in ("first", "second")), strict=True)
        same = sorted((first, second))
        for cue, leads in ((one, -1), (two, 1)):
            # The words before an answer speak for it, or lead away from it: the file says before which they stand.
            if cue and chance(self.seed, cue.name, *same) < self.strengths[cue.name]:
                return "FIRST" if (leads > 0) == (cue.side == "right") else "SECOND"
        if chance(self.seed, POSITION, *same) < self.strengths[POSITION]:
            return "FIRST"
        prefers = self._view(first) > self._view(second)
        if chance(self.seed, "restless", shown["first"], shown["second"]) < self.restless:
            prefers = not prefers
        return "FIRST." if prefers else "second"

    def _view(self, text: str) -> float:
        if text not in self.views:
            self.views[text] = hidden(text) + OWN * normal(self.seed, text)
        return self.views[text]


@cache
def hidden(text: str) -> float:
    """How good an answer is."""
    return normal("good", text)


def _bare(text: str) -> tuple[Probe | None, str]:
    """The probe whose words stand before an answer, and the answer."""
    for probe in PROBES:
        for words in probe.texts:
            if text.startswith(words):
                return probe, text[len(words) + 1 :]
    return None, text


def served(planted: Planted) -> ChatJudge:
    return ChatJudge(planted.ask, 64)


def estimated(seed: int, planted: Mapping[str, float]) -> tuple[float, float]:
    """Of JUDGES with these strengths: mean of the largest distance of an estimated bias from STRENGTHS, and share of
    intervals that cover them."""
    far, covered = [], []
    for whims in range(JUDGES):
        pairs = drawn(JUDGES * seed + whims, PAIRS, hidden, answers())
        found = probe_report(served(Planted(planted, JUDGES * seed + whims)), pairs)["probes"]
        told = [(found[name]["bias"], strength) for name, strength in STRENGTHS.items()]
        far.append(max(abs(bias["value"] - strength) for bias, strength in told))
        covered += [bias["low"] <= strength <= bias["high"] for bias, strength in told]
    return float(np.mean(far)), float(np.mean(covered))


class Restless:
    """A judge that nothing moves but chance: RESTLESS of its verdicts turn round, anew each time. owns: its draws."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def prefers(self, asked: Sequence[Asked]) -> Floats:
        own = np.array([hidden(_bare(a.first)[1]) - hidden(_bare(a.second)[1]) for a in asked])
        return own * np.where(self._rng.random(len(asked)) < RESTLESS, -1.0, 1.0)


def false_alarms(seed: int) -> tuple[float, float]:
    """Of AGAIN reports on a judge without a bias, the share with an alarm; and with what the control takes for one: a
    share of turned verdicts whose interval leaves 0 out."""
    rng, pairs = np.random.default_rng([8, 88, seed]), drawn(seed, FEW, hidden, answers())
    alarms = naive = 0
    for _ in range(AGAIN):
        rows = probe_report(Restless(rng), pairs)["probes"].values()
        alarms += any(row["alarm"] for row in rows)
        naive += any(row["robustness"]["high"] < 1 for row in rows)
    return alarms / AGAIN, naive / AGAIN


class SameOrderTwice:
    """The control of averaging: both questions show the answers in the same order. owns: nothing."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def prefers(self, asked: Sequence[Asked]) -> Floats:
        return (self._judge.prefers(asked) + self._judge.prefers(asked)) / 2


def consistent(seed: int, averaged: Callable[[Judge], Judge]) -> float:
    """Share of the verdicts that stay where answers change places, of a judge with a bias to the first and whims."""
    judge = averaged(served(Planted(STRENGTHS, seed, restless=RESTLESS)))
    report = probe_report(judge, drawn(seed, FEW, hidden, answers()))
    return float(report["probes"][POSITION]["robustness"]["value"])


@dataclass(frozen=True)
class Learnt:
    """Of a head: its bias, mean over CARRIED, and its accuracy on pairs without a probe."""

    bias: float
    accuracy: float


def learnt(seed: int, augmented: str) -> Learnt:
    """A head that learns from pairs of which CARRY have a probe's words before the chosen answer, and from as many
    again: these pairs with the words before the `rejected` one, which is the mitigation, before the `chosen` one, or
    without any (""). Measured on answers it never saw."""
    rng = np.random.default_rng([888, seed])
    tasted = rng.normal(size=pairhead.Params().width)
    half = len(answers()) // 2

    def liked(text: str) -> float:
        return float(described(text) @ tasted)

    rows = []
    for pair in drawn(seed, LEARNT, liked, answers()[:half]):
        probe = CARRIED[rng.integers(len(CARRIED))]
        carries = rng.random() < CARRY
        rows.append(_put(pair, probe, "chosen" if carries else ""))
        rows += [_put(pair, probe, augmented)] if carries else []
    head = pairhead.fit(rows)
    judge = ScoreJudge(lambda asked: np.array([described(text) for _, text in asked]) @ head.weights)
    report = probe_report(judge, drawn(seed + 10_000, TESTED, liked, answers()[half:]))
    found = [report["probes"][probe.name]["bias"]["value"] for probe in CARRIED]
    return Learnt(float(np.mean(found)), report["before"]["value"])


def _put(pair: JudgedPair, probe: Probe, side: str) -> pairhead.Compared:
    words = probe.texts[int(chance(pair.id, "words") * len(probe.texts))]
    texts = {"chosen": pair.chosen, "rejected": pair.rejected}
    if side:
        texts[side] = f"{words} {texts[side]}"
    return pairhead.Compared(ASK[0].content, texts["chosen"], texts["rejected"])


@cache
def described(text: str) -> Floats:
    return pairhead.features(ASK[0].content, text, pairhead.Params().width)


def claims(
    told: Sequence[tuple[float, float]], false: Sequence[float], kept: Sequence[float], first: Sequence[Learnt],
    then: Sequence[Learnt],
) -> list[Claim]:  # fmt: skip
    """first, then: heads before and after they were taught otherwise."""
    return [
        exceeds("largest distance of a bias from what was planted, below .03", [-far for far, _ in told], -0.03),
        exceeds("share of 95 % intervals that cover it", [share for _, share in told], 0.85),
        exceeds("false alarms: how far below 5 % of reports", [0.05 - rate for rate in false], 0.0),
        exceeds("verdicts that stay in the other order, both averaged", kept, 0.9999),
        exceeds("bias taken away by training", [a.bias - b.bias for a, b in zip(first, then, strict=True)], 0.05),
        exceeds(
            "accuracy not lower by one point",
            [b.accuracy - a.accuracy for a, b in zip(first, then, strict=True)],
            -0.01,
        ),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The controls: strengths planted one probe further on; any turned verdict an alarm; one order asked twice; probes'
    words added before the chosen answers."""
    turned = dict(zip(STRENGTHS, [*list(STRENGTHS.values())[1:], STRENGTHS["plain"]], strict=True))
    false = [false_alarms(seed) for seed in seeds]
    first, then, worse = ([learnt(seed, how) for seed in seeds] for how in ("", "rejected", "chosen"))
    found = claims(
        [estimated(seed, STRENGTHS) for seed in seeds],
        [alarmed for alarmed, _ in false],
        [consistent(seed, OrderAveraged) for seed in seeds],
        first,
        then,
    )
    control = claims(
        [estimated(seed, turned) for seed in seeds],
        [naive for _, naive in false],
        [consistent(seed, SameOrderTwice) for seed in seeds],
        first,
        worse,
    )
    beside: dict[str, Any] = {
        "false alarms": [alarmed for alarmed, _ in false],
        "bias of the head": [head.bias for head in first],
        "bias once taught otherwise": [head.bias for head in then],
        "accuracy of the head": [head.accuracy for head in first],
    }
    return Found(found, control, {name: interval(values) for name, values in beside.items()})

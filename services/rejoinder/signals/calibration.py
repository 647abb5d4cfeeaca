"""Turning logits into probabilities that mean what they say.

A temperature and one shift per class for polarity (Guo and others, 1706.04599, with the bias of vector scaling), one
scale and shift for the rubric (Platt). Chats between people have odds of their own for SAT against DSAT, since hardly
anyone rates a partner badly and tone tells who does; how much a turn is such a chat, the encoder says, and the odds
count as far as the words are silent. The level is what the words say, 3 as far as they are silent; in chats it is the
tone, 3 being the usual one.

Fitted on turns the encoder did not learn from; kept as JSON beside the weights. `python -m
rejoinder.signals.calibration HELD_OUT.jsonl` prints a new file, so whoever has labels of their own can recalibrate
without training.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from rejoinder.signals.ranking import spearman

CLASSES = ("DSAT", "none", "SAT")
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
# A wrong level is mended by the next rating; wrong odds turn a refusal into content. So the odds of chats have the
# narrower gate, and another: the probability that the words are silent. Where they speak, they decide.
LEVEL_GATE, ODDS_GATE, SILENCE_GATE = (0.5, 0.7), (0.85, 1.0), (0.3, 0.6)


def passed(value: np.ndarray, gate: tuple[float, float]) -> np.ndarray:
    """0 below the gate, 1 above it, in between what share of it lies below the value; same shape."""
    return np.clip((value - gate[0]) / (gate[1] - gate[0]), 0.0, 1.0)


def expected(logits: np.ndarray) -> np.ndarray:
    """(..., 5) logits → mean of 1 to 5."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ np.arange(1.0, 6.0)


@dataclass(frozen=True)
class Calibration:
    """temperature > 0. shift: added to the scaled logits of DSAT, none, SAT.

    chat_odds, chat_scale, chat_tone: what a chat adds to the log-odds of SAT against DSAT: a constant, a share of the
    logits' difference, and so much for each point of rating above rating_centre, the average one, 1 to 5.
    rubric_scale, rubric_shift: of Platt. rating_weight: levels a point above the centre is worth, in a chat.
    """

    temperature: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    chat_odds: float = 0.0
    chat_scale: float = 0.0
    chat_tone: float = 0.0
    rubric_scale: float = 1.0
    rubric_shift: float = 0.0
    rating_centre: float = 3.0
    rating_weight: float = 0.0

    def polarity(self, logits: np.ndarray, rating: np.ndarray) -> np.ndarray:
        """(..., 3) logits, (..., 2) rating head → (..., 3) probabilities of DSAT, none, SAT."""
        z = logits / self.temperature + np.asarray(self.shift)
        e = np.exp(z - z.max(-1, keepdims=True))
        silent = e[..., 1] / e.sum(-1)
        added = self.chat_odds + self.chat_scale * (logits[..., 2] - logits[..., 0])
        added = added + self.chat_tone * (rating[..., 0] - self.rating_centre)
        counts = passed(rating[..., 1], ODDS_GATE) * passed(silent, SILENCE_GATE)
        odds = z[..., 2] - z[..., 0] + counts * added
        favour = 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))
        return np.stack([(1.0 - silent) * (1.0 - favour), silent, (1.0 - silent) * favour], -1)

    def rubric(self, logits: np.ndarray) -> np.ndarray:
        """Logits of reasons, of whole turns or of tokens → probabilities, same shape."""
        return 1.0 / (1.0 + np.exp(-(self.rubric_scale * logits + self.rubric_shift)))

    def level(self, levels: np.ndarray, rating: np.ndarray, polarity: np.ndarray) -> np.ndarray:
        """(..., 5) logits, (..., 2) rating head, (..., 3) probabilities → expected level, 1 to 5."""
        said = (1.0 - polarity[..., 1]) * expected(levels) + polarity[..., 1] * 3.0
        tone = np.clip(3.0 + self.rating_weight * (rating[..., 0] - self.rating_centre), 1.0, 5.0)
        chat = passed(rating[..., 1], LEVEL_GATE)
        return (1.0 - chat) * said + chat * tone

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        values = json.loads(text)
        return cls(**{**values, "shift": tuple(values["shift"])})


def minimise(loss: Callable[[np.ndarray], float], start: Sequence[float], rounds: int = 300) -> np.ndarray:
    """Pattern search, coordinate by coordinate: three or four smooth parameters need no more."""
    best, step = np.array(start, dtype=float), np.full(len(start), 0.5)
    value = loss(best)
    for _ in range(rounds):
        for i in range(len(best)):
            for sign in (1.0, -1.0):
                trial = best.copy()
                trial[i] += sign * step[i]
                there = loss(trial)
                if there < value:
                    best, value, step[i] = trial, there, step[i] * 1.5
                    break
            else:
                step[i] *= 0.5
        if step.max() < 1e-6:
            break
    return best


def fit(held_out: Iterable[Mapping]) -> Calibration:
    """The calibration of least negative log-likelihood: of the judged turns first, then of what chats add.

    held_out: {set, judged, label, level, reasons: [name], names: [R], and logits: polarity (3), levels (5),
    rubric (R); and the rating head (2)}. Turns that nobody read (judged false) count by the odds of SAT against DSAT
    only, and not at all where their label is none.
    """
    held_out = list(held_out)
    found = Calibration()
    if judged := [row for row in held_out if row["judged"]]:
        found = _fit_rubric(_fit_polarity(found, judged), judged)
    if rated := [row for row in held_out if not row["judged"]]:
        found = _fit_chat(found, rated)
        found = _fit_level(found, held_out)
    return found


def _arrays(rows: Sequence[Mapping], *keys: str) -> tuple[np.ndarray, ...]:
    return tuple(np.array([row[key] for row in rows], dtype=float) for key in keys)


def _fit_polarity(found: Calibration, judged: Sequence[Mapping]) -> Calibration:
    logits, rating = _arrays(judged, "polarity", "rating")
    label = np.array([CLASSES.index(row["label"]) for row in judged])

    def trial(x: np.ndarray) -> Calibration:
        return replace(found, temperature=float(np.exp(x[0])), shift=(float(x[1]), 0.0, float(x[2])))

    def loss(x: np.ndarray) -> float:
        p = trial(x).polarity(logits, rating)[np.arange(len(label)), label]
        return -float(np.log(np.maximum(p, 1e-12)).mean())

    return trial(minimise(loss, (0.0, 0.0, 0.0)))


def _fit_rubric(found: Calibration, judged: Sequence[Mapping]) -> Calibration:
    (logits,) = _arrays(judged, "rubric")
    fired = np.array([[name in row["reasons"] for name in row["names"]] for row in judged], dtype=float)

    def trial(x: np.ndarray) -> Calibration:
        return replace(found, rubric_scale=float(np.exp(x[0])), rubric_shift=float(x[1]))

    def loss(x: np.ndarray) -> float:
        p = np.clip(trial(x).rubric(logits), 1e-9, 1 - 1e-9)
        return -float((fired * np.log(p) + (1 - fired) * np.log(1 - p)).mean())

    return trial(minimise(loss, (0.0, 0.0)))


def _fit_chat(found: Calibration, rated: Sequence[Mapping]) -> Calibration:
    (scores,) = _arrays(rated, "rating")
    found = replace(found, rating_centre=float(scores[:, 0].mean()))
    poled = [row for row in rated if row["label"] != "none"]
    if not poled:
        return found
    logits, rating = _arrays(poled, "polarity", "rating")
    good = np.array([row["label"] == "SAT" for row in poled])

    def trial(x: np.ndarray) -> Calibration:
        return replace(found, chat_odds=float(x[0]), chat_scale=float(x[1]), chat_tone=float(x[2]))

    def loss(x: np.ndarray) -> float:
        p = trial(x).polarity(logits, rating)
        mine = np.where(good, p[:, 2], p[:, 0]) / (p[:, 0] + p[:, 2])
        return -float(np.log(np.maximum(mine, 1e-12)).mean())

    return trial(minimise(loss, (0.0, 0.0, 0.0)))


def _fit_level(found: Calibration, held_out: Sequence[Mapping]) -> Calibration:
    """Adds the weight, of a short list, at which the set that loses most against its own best weight loses least."""
    trials = [replace(found, rating_weight=weight) for weight in WEIGHTS]
    shares = []
    for name in sorted({row["set"] for row in held_out}):
        levels, rating, polarity, given = _arrays(
            [row for row in held_out if row["set"] == name], "levels", "rating", "polarity", "level"
        )
        p = found.polarity(polarity, rating)
        kept = np.nan_to_num(np.array([spearman(trial.level(levels, rating, p), given) for trial in trials]))
        shares.append(kept / kept.max() if kept.max() > 0 else np.ones(len(kept)))
    return trials[int(np.min(shares, axis=0).argmax())]


def main(path: str) -> None:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    sys.stdout.write(fit(json.loads(line) for line in lines if line).to_json())


if __name__ == "__main__":
    main(sys.argv[1])

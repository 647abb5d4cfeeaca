"""Turning logits into probabilities that mean what they say.

A temperature and one shift per class for polarity (Guo and others, 1706.04599, with the bias of vector scaling), one
scale and shift for the rubric (Platt). Fitted on turns the encoder did not learn from; kept as JSON beside the
weights. `python -m rejoinder.signals.calibration HELD_OUT.jsonl` prints a new file, so whoever has labels of their
own can recalibrate without training.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

CLASSES = ("DSAT", "none", "SAT")


@dataclass(frozen=True)
class Calibration:
    """temperature > 0; shift: added to the scaled logits of DSAT, none, SAT; rubric_scale, rubric_shift: of Platt."""

    temperature: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rubric_scale: float = 1.0
    rubric_shift: float = 0.0

    def polarity(self, logits: np.ndarray) -> np.ndarray:
        """(..., 3) logits → (..., 3) probabilities."""
        z = logits / self.temperature + np.asarray(self.shift)
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def rubric(self, logits: np.ndarray) -> np.ndarray:
        """Logits of reasons, of whole turns or of tokens → probabilities, same shape."""
        return 1.0 / (1.0 + np.exp(-(self.rubric_scale * logits + self.rubric_shift)))

    @staticmethod
    def level(logits: np.ndarray) -> np.ndarray:
        """(..., 5) logits → expected level, 1 to 5."""
        e = np.exp(logits - logits.max(-1, keepdims=True))
        return (e / e.sum(-1, keepdims=True)) @ np.arange(1.0, 6.0)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        values = json.loads(text)
        return cls(**{**values, "shift": tuple(values["shift"])})


def _minimise(loss: Callable[[np.ndarray], float], start: Sequence[float], rounds: int = 300) -> np.ndarray:
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
    """The calibration of least negative log-likelihood, every set weighing the same.

    held_out: {set, judged, label, reasons: [name], polarity: 3 logits, rubric: R logits, names: [R]}. Turns that
    nobody read (judged false) count by the odds of SAT against DSAT only, and not at all where their label is none.
    """
    sets: dict[tuple[str, bool], list[Mapping]] = {}
    for row in held_out:
        if row["judged"] or row["label"] != "none":
            sets.setdefault((row["set"], row["judged"]), []).append(row)
    groups = [
        (judged, np.array([r["polarity"] for r in rows]), np.array([CLASSES.index(r["label"]) for r in rows]))
        for (_, judged), rows in sets.items()
    ]

    def polarity_loss(x: np.ndarray) -> float:
        trial, total = Calibration(float(np.exp(x[0])), (float(x[1]), 0.0, float(x[2]))), 0.0
        for judged, logits, label in groups:
            p = trial.polarity(logits)
            mine = p[np.arange(len(label)), label]
            total -= float(np.log(np.maximum(mine if judged else mine / (p[:, 0] + p[:, 2]), 1e-12)).mean())
        return total

    x = _minimise(polarity_loss, (0.0, 0.0, 0.0))
    read = [row for (_, judged), rows in sets.items() if judged for row in rows]
    logits = np.array([row["rubric"] for row in read])
    fired = np.array([[name in row["reasons"] for name in row["names"]] for row in read], dtype=float)

    def rubric_loss(z: np.ndarray) -> float:
        p = np.clip(Calibration(rubric_scale=float(np.exp(z[0])), rubric_shift=float(z[1])).rubric(logits), 1e-9, 1.0)
        return float(-(fired * np.log(p) + (1 - fired) * np.log(np.maximum(1 - p, 1e-9))).mean())

    z = _minimise(rubric_loss, (0.0, 0.0)) if len(read) else np.zeros(2)
    return Calibration(float(np.exp(x[0])), (float(x[1]), 0.0, float(x[2])), float(np.exp(z[0])), float(z[1]))


def main(path: str) -> None:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    sys.stdout.write(fit(json.loads(line) for line in lines if line).to_json())


if __name__ == "__main__":
    main(sys.argv[1])

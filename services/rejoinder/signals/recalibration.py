"""What an operator's own labels change in the shipped probabilities: a temperature, shifts, thresholds.

Vector scaling (1706.04599) of the shipped probabilities of DSAT, none and SAT, so that it holds for whatever stands
behind them, and for each pole the probability from which it is said at all; below it the turn reads `none`. A file
made by `rejoinder signals audit`, named in `read.calibration`. Its digest is part of the extractor's version: turns are
read again under it, and `rejoinder trace` shows by which file a turn was judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core import typed
from rejoinder.core.errors import BadFile
from rejoinder.core.ids import digest_of

#: Hexadecimal digits of a file's digest in the version.
_DIGITS = 12


@dataclass(frozen=True)
class Recalibration:
    """model: the version of the encoder (`sat-v1@…`) whose probabilities it is for; "" for any, and then it must change
    nothing. temperature > 0 divides log-probabilities, shift is added to those of DSAT, none, SAT. least_dsat,
    least_sat: probability from which the pole is said, 0 to 1. labelled, population: turns it was made from.
    """

    model: str = ""
    temperature: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    least_dsat: float = 0.0
    least_sat: float = 0.0
    labelled: int = 0
    population: int = 0

    def __post_init__(self) -> None:
        finite = np.isfinite((self.temperature, *self.shift)).all()
        if not finite or self.temperature <= 0:
            raise ValueError("temperature must be above 0, and it and the shifts finite")
        if not 0 <= self.least_dsat <= 1 or not 0 <= self.least_sat <= 1:
            raise ValueError("least_dsat and least_sat are probabilities")

    @property
    def version(self) -> str:
        """What the extractor's version says of it: "" where it changes nothing."""
        return "" if self == Recalibration() else "+" + digest_of(asdict(self))[:_DIGITS]

    def apply(self, p: np.ndarray) -> np.ndarray:
        """(..., 3) shipped probabilities of DSAT, none, SAT → the same, as here."""
        if self.temperature == 1.0 and not any(self.shift):
            return p
        z = np.log(np.clip(p, 1e-12, 1.0)) / self.temperature + np.asarray(self.shift)
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def said(self, p: np.ndarray) -> int:
        """The place of what is said: of the greatest probability, none (1) where a pole does not reach its least."""
        pole = int(p.argmax())
        least = (self.least_dsat, 0.0, self.least_sat)[pole]
        return pole if p[pole] >= least else 1

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def read_recalibration(path: Path, model: str) -> Recalibration:
    """The file's values, for the encoder of this version. Raises BadFile."""
    try:
        value: Any = json.loads(path.read_text("utf-8"))
        found = typed.make(Recalibration, value if isinstance(value, Mapping) else ())
    except OSError as error:
        raise BadFile(f"cannot read {path}: {type(error).__name__}", file=path.name) from None
    except (ValueError, TypeError) as error:
        raise BadFile(f"{path.name} is no calibration: {error}", file=path.name) from None
    if found.model != model:
        raise BadFile(f"{path.name} is for {found.model or 'no model'}, this is {model}", file=path.name)
    return found

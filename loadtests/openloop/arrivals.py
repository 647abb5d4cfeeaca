"""When requests start: seeded schedules, known before the first of them. Pure.

All processes of a run draw the same schedule and each takes its part of it, so that a run is the same whatever their
number is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from rejoinder.runtime.settings import Theme

_Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Poisson(Theme):
    kind: Literal["poisson"]
    rate: _Rate
    """Arrivals a second in the mean; gaps are exponential, as those of many users who know nothing of one another."""


class Constant(Theme):
    kind: Literal["constant"]
    rate: _Rate
    """Arrivals a second, evenly."""


class Bursts(Theme):
    kind: Literal["bursts"]
    rate: _Rate
    """Arrivals a second in the mean."""
    size: int = Field(ge=2)
    """Arrivals of one burst, at the same moment; bursts come as a Poisson process."""


class Ramp(Theme):
    kind: Literal["ramp"]
    first: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Arrivals a second at the beginning of the schedule."""
    rate: _Rate
    """Arrivals a second at its end; in between the rate of a Poisson process moves evenly."""


Arrivals = Annotated[Poisson | Constant | Bursts | Ramp, Field(discriminator="kind")]


def times(arrivals: Poisson | Constant | Bursts | Ramp, seconds: float, seed: int) -> Iterator[float]:
    """Starts in [0, seconds), in order; the same for the same seed."""
    draw = random.Random(seed)
    match arrivals:
        case Constant():
            yield from (number / arrivals.rate for number in range(math.ceil(seconds * arrivals.rate)))
        case Bursts():
            for at in _poisson(draw, arrivals.rate / arrivals.size, seconds):
                yield from [at] * arrivals.size
        case Ramp():
            yield from _ramp(draw, arrivals, seconds)
        case Poisson():
            yield from _poisson(draw, arrivals.rate, seconds)


def _poisson(draw: random.Random, rate: float, seconds: float) -> Iterator[float]:
    at = draw.expovariate(rate)
    while at < seconds:
        yield at
        at += draw.expovariate(rate)


def _ramp(draw: random.Random, ramp: Ramp, seconds: float) -> Iterator[float]:
    """A Poisson process of rate 1, its time bent by the inverse of the ramp's integral."""
    slope = (ramp.rate - ramp.first) / seconds
    for area in _poisson(draw, 1.0, seconds * (ramp.first + ramp.rate) / 2):
        # first·t + slope·t²/2 = area; this form of the root stays exact as the slope goes to zero.
        yield 2 * area / (ramp.first + math.sqrt(max(0.0, ramp.first**2 + 2 * slope * area)))

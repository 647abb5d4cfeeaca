"""What a filled-in sheet says: figures of the whole traffic, and the recalibration that the labels ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.signals.audit.estimates import Figure, Labelled, agreements, calibrations, table_of, weights
from rejoinder.signals.audit.refit import Refit, refit
from rejoinder.signals.audit.sample import STRATA
from rejoinder.signals.audit.sheet import Design


@dataclass(frozen=True)
class Report:
    """population, drawn, labelled: turns by stratum. covered: share of the traffic in strata that have labels; figures
    are of these. ece_null_95: what a calibrated reader's ECE stays under in 95 of 100 such samples."""

    version: str
    population: Mapping[str, int]
    drawn: Mapping[str, int]
    labelled: Mapping[str, int]
    covered: float
    figures: Mapping[str, Figure]
    ece_null_95: float
    refit: Refit

    @property
    def unknown_language(self) -> int:
        """Turns of the traffic that were not read."""
        return self.population.get(UNKNOWN_LANGUAGE, 0)


def report(design: Design, given: Mapping[str, str], wanted: float) -> Report:
    """given: labels by id, at least one. wanted: precision of SAT and of DSAT that thresholds are to give, 0 to 1."""
    turns = [
        Labelled(name, read.stratum, given[name], read.p, read.confidence)
        for name, read in sorted(design.turns.items())
        if name in given
    ]
    rng = np.random.default_rng(design.seed)
    weight, table = weights(design.population, turns), table_of(design.population, turns)
    total = sum(design.population.values())
    figures = agreements(table, rng)
    figures["ece"], figures["ece_debiased"], null = calibrations(turns, weight, rng)
    return Report(
        design.version,
        design.population,
        {name: sum(read.stratum == name for read in design.turns.values()) for name in STRATA},
        {name: sum(turn.stratum == name for turn in turns) for name in STRATA},
        sum(design.population[name] for name in table.strata) / total,
        figures,
        null,
        # What was not read has no probability to mend.
        refit(*_read(turns, weight), wanted, design.model, total),
    )


def _read(turns: Sequence[Labelled], weight: np.ndarray) -> tuple[list[Labelled], np.ndarray]:
    kept = [turn.stratum != UNKNOWN_LANGUAGE for turn in turns]
    return [turn for turn, keep in zip(turns, kept, strict=True) if keep], weight[kept]

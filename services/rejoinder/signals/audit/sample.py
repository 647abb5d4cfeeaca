"""Which turns a person is asked about: as many of each predicted class, drawn by hash.

Classes differ in size by a hundred times: of three hundred turns drawn at random hardly any would be DSAT, and nothing
could be said of it. So each class is a stratum, and estimates.py weights it back to its share of the traffic.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rejoinder.core.ids import digest_of_text
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.core.types import Polarity

#: Predicted class, and what it says: turns in a language that the extractor does not know are `none` too.
STRATA = {"DSAT": "DSAT", "none": "none", "SAT": "SAT", UNKNOWN_LANGUAGE: "none"}


class Said(Protocol):
    """What an extractor said of one turn: the feedback event, the verdict, its confidence, its reasons by name."""

    @property
    def event_id(self) -> str: ...
    @property
    def polarity(self) -> Polarity: ...
    @property
    def confidence(self) -> float: ...
    @property
    def reasons(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Drawn:
    """population: turns of each stratum. turns: drawn ones of each, without replacement."""

    population: Mapping[str, int]
    turns: Mapping[str, Sequence[Said]]


def stratum_of(said: Said) -> str:
    if UNKNOWN_LANGUAGE in said.reasons:
        return UNKNOWN_LANGUAGE
    return "none" if said.polarity is Polarity.NONE else str(said.polarity)


def shares(population: Mapping[str, int], size: int) -> dict[str, int]:
    """How many to draw of each stratum: equally many, and what a small one lacks is spread over the others."""
    left, out = dict(population), dict.fromkeys(population, 0)
    while size and any(left.values()):
        open_ = [name for name, count in left.items() if count]
        each, more = divmod(size, len(open_))
        for place, name in enumerate(open_):
            taken = min(left[name], each + (place < more))
            out[name] += taken
            left[name] -= taken
            size -= taken
    return out


def draw(said: Iterable[Said], size: int, seed: int) -> Drawn:
    """A sample of at most `size` turns. The same turns and seed give the same sample, in whatever order they come."""
    population: Counter[str] = Counter()
    # A heap of the smallest hashes of each stratum (negated: its first is the greatest): the traffic is never held.
    kept: dict[str, list[tuple[int, str, Said]]] = {name: [] for name in STRATA}
    for one in said:
        stratum = stratum_of(one)
        population[stratum] += 1
        entry = (-int(digest_of_text(f"{seed}\0{one.event_id}"), 16), one.event_id, one)
        if len(kept[stratum]) < size:
            heapq.heappush(kept[stratum], entry)
        else:
            heapq.heappushpop(kept[stratum], entry)
    sizes = {name: population[name] for name in STRATA}
    wanted = shares(sizes, size)
    first = {name: sorted(kept[name], reverse=True)[: wanted[name]] for name in STRATA}
    return Drawn(sizes, {name: tuple(one for _, _, one in entries) for name, entries in first.items()})

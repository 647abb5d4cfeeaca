"""What became of one kind of step: HDR histograms of microseconds, merged over processes without loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

#: Microseconds: from one to ten minutes, three significant digits.
_LEAST, _MOST, _DIGITS = 1, 600_000_000, 3


class Times:
    """Durations. owns: its histogram; a value beyond ten minutes counts as ten minutes."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(_LEAST, _MOST, _DIGITS)

    @property
    def count(self) -> int:
        return int(self._histogram.get_total_count())

    def record(self, seconds: float) -> None:
        self._histogram.record_value(min(max(round(seconds * 1e6), _LEAST), _MOST))

    def at(self, percent: float) -> float:
        """Seconds that so many percent of the values do not pass; 0 of nothing."""
        return float(self._histogram.get_value_at_percentile(percent)) / 1e6 if self.count else 0.0

    def merge(self, packed: str) -> None:
        self._histogram.decode_and_add(packed.encode("ascii"))

    def packed(self) -> str:
        return str(self._histogram.encode(), "ascii")

    def as_json(self) -> dict[str, float]:
        """Milliseconds."""
        points = {"p50": 50, "p90": 90, "p99": 99, "p99_9": 99.9, "max": 100}
        return {"count": self.count, **{name: round(self.at(point) * 1e3, 3) for name, point in points.items()}}


@dataclass
class Tally:
    """offered: steps that should have left. good: answered rightly within the deadline. answers: time of every right
    answer, late ones too, from when it should have left. errors: the same by reason. marks: times of moments within a
    step, the first text for one."""

    offered: int = 0
    good: int = 0
    answers: Times = field(default_factory=Times)
    errors: dict[str, Times] = field(default_factory=dict)
    marks: dict[str, Times] = field(default_factory=dict)

    def answered(self, seconds: float, deadline_s: float) -> None:
        self.offered += 1
        self.good += seconds <= deadline_s
        self.answers.record(seconds)

    def failed(self, reason: str, seconds: float) -> None:
        self.offered += 1
        self.errors.setdefault(reason, Times()).record(seconds)

    def marked(self, name: str, seconds: float) -> None:
        self.marks.setdefault(name, Times()).record(seconds)

    def packed(self) -> dict[str, Any]:
        return {
            "offered": self.offered,
            "good": self.good,
            "answers": self.answers.packed(),
            "errors": {reason: times.packed() for reason, times in self.errors.items()},
            "marks": {name: times.packed() for name, times in self.marks.items()},
        }

    def merge(self, packed: Mapping[str, Any]) -> None:
        self.offered += packed["offered"]
        self.good += packed["good"]
        self.answers.merge(packed["answers"])
        for mine, theirs in ((self.errors, packed["errors"]), (self.marks, packed["marks"])):
            for name, times in theirs.items():
                mine.setdefault(name, Times()).merge(times)

    def as_json(self, seconds: float) -> dict[str, Any]:
        """seconds: for which arrivals were counted."""
        return {
            "offered": self.offered,
            "offered_per_s": round(self.offered / seconds, 3),
            "answered": self.answers.count,
            "goodput_per_s": round(self.good / seconds, 3),
            "goodput_share": round(self.good / self.offered, 5) if self.offered else 0.0,
            "latency_ms": self.answers.as_json(),
            "errors": {reason: times.as_json() for reason, times in sorted(self.errors.items())},
            "marks_ms": {name: times.as_json() for name, times in sorted(self.marks.items())},
        }

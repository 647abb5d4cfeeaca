"""What a bench found: rows with their demands, as JSON and as a table, with what they were found on."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """ours beside peer, both in `unit`. demand: the greatest ratio ours / peer allowed, or where `least` the least;
    None: no demand. inverse: of costs where the demand is said as how many times ours is cheaper: the ratio is
    peer / ours, and the demand the least. not_run: why the peer was not run; then nothing is compared, nor met."""

    name: str
    ours: float
    peer: float
    unit: str
    demand: float | None = None
    least: bool = False
    inverse: bool = False
    not_run: str = ""

    @property
    def ratio(self) -> float:
        if self.inverse:
            return self.peer / self.ours if self.ours else float("inf")
        return self.ours / self.peer if self.peer else float("inf")

    @property
    def met(self) -> bool | None:
        if self.demand is None or self.not_run:
            return None
        return self.ratio >= self.demand if self.least or self.inverse else self.ratio <= self.demand

    def as_json(self) -> dict[str, Any]:
        said = {
            "name": self.name,
            "ours": round(self.ours, 3),
            "peer": round(self.peer, 3),
            "unit": self.unit,
            "ratio": round(self.ratio, 4),
            "demand": self.demand,
            "met": self.met,
        }
        return {**said, "peer": None, "ratio": None, "not_run": self.not_run} if self.not_run else said


def machine() -> dict[str, Any]:
    """Processor, cores and kernel; what figures in microseconds are worth nothing without."""
    cpus = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in cpus)
    return {"cpu": model, "cores": cores, "system": platform.release(), "python": platform.python_version()}


def versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}


def write(path: Path, rows: Sequence[Row], **facts: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "rows": [row.as_json() for row in rows]}, indent=1) + "\n", "utf-8")


def table(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """Markdown, for a README."""
    lines = [", ".join(f"{name} {value}" for name, value in facts.items()), ""]
    lines += ["| row | ours | peer | unit | ratio | demand | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        demand = "-" if row.demand is None else f"{'≥' if row.least or row.inverse else '≤'} {row.demand:g}"
        met = {None: "-", True: "yes", False: "**no**"}[row.met]
        peer, ratio = f"{row.peer:,.1f}", f"{row.ratio:.3f}"
        if row.not_run:
            peer, ratio = f"not run: {row.not_run}", "-"
        lines.append(f"| {row.name} | {row.ours:,.1f} | {peer} | {row.unit} | {ratio} | {demand} | {met} |")
    return "\n".join(lines)

"""What a scenario file says. A key that is misspelt, or an option that its work does not have, is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field
from rejoinder.runtime.settings import Theme, load

from loadtests.openloop.arrivals import Arrivals

FOLDER = Path(__file__).parent.parent / "scenarios"


class Demands(Theme):
    """What a run must show; unset asks for nothing."""

    goodput_share: float | None = Field(default=None, gt=0, le=1)
    """Least share of the offered that is answered rightly within the deadline, of each step."""
    refused_p99_s: float | None = Field(default=None, gt=0)
    """A refusal (RESOURCE_EXHAUSTED) takes at most so long at p99, from when it should have left."""


class Scenario(Theme):
    work: str
    """Row of the work table: what one arrival does."""
    options: Mapping[str, Any] = {}
    """Of that row."""
    arrivals: Arrivals
    """When they come."""
    deadline_s: float = Field(gt=0)
    """A step must be answered so many seconds after it should have left: its gRPC deadline, and goodput's."""
    seconds: float = Field(gt=0)
    """How long arrivals are counted; the run stops by this clock, not by a number of requests."""
    warm_up_s: float = Field(default=5.0, ge=0)
    """Arrivals before that are sent and not counted."""
    seed: int = 1
    """Of the schedule and of every text."""
    processes: int = Field(default=1, ge=1)
    """Processes that send; one Python process sends some thousand small requests a second."""
    max_in_flight: int = Field(default=4000, ge=1)
    """Visits under way in one process; beyond it one is left out and the run is invalid."""
    max_lag_s: float = Field(default=0.02, gt=0)
    """Requests may leave so much later than scheduled at p99; beyond it the run measured its own generator."""
    demands: Demands = Demands()


def read(file: Path) -> Scenario:
    """Raises BadFile, BadSettings (an unknown key with the nearest known one), UnknownRow for the work."""
    scenario = load(Scenario, "scenario", file, {})
    # Imported late: the table imports whatever the works need.
    from loadtests.work.table import WORKS

    WORKS[scenario.work].with_params(dict(scenario.options))
    return scenario


def named(name: str) -> Scenario:
    """A scenario by its file's name in scenarios/, or by a path that ends with .yaml. Raises FileNotFoundError."""
    file = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
        raise FileNotFoundError(f"no scenario {name}; known: {known}")
    return read(file)

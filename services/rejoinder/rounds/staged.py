"""A round whose train stage runs elsewhere: what comes before it, and what comes after.

`prepare` runs the round up to its train stage and writes down, in the registry, the four paths of the stage contract;
`finish` runs the same round again, finds its stages done, takes the output that lies at `out`, and ends the round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rejoinder.core.errors import ClaimTaken, FailedPrecondition
from rejoinder.registry.store import create_json, read_json
from rejoinder.rounds.recipe import Recipe
from rejoinder.rounds.runner import Loop, Ports, Report, Round
from rejoinder.rounds.stages import TRAINING

Run = Callable[[Sequence[str]], dict[str, Any]]
OPTIONS = ("manifest", "pairs", "base", "out")


class TrainWanted(Exception):
    """The round has come to its train stage. paths: option of the stage contract → path."""

    def __init__(self, paths: dict[str, Path]) -> None:
        super().__init__("the train stage is wanted")
        self.paths = paths


def prepare(loop: Loop, recipe: Recipe, ports: Ports, number: int) -> Report | None:
    """Up to the train stage: None, or the report of a round that ended before it. Raises what a round raises, and
    FailedPrecondition where this number was prepared otherwise before."""
    try:
        return Round(loop, recipe, replace(ports, run=deferring(ports.run))).run()
    except TrainWanted as wanted:
        root = loop.folder.parent
        found = {name: str(path.resolve().relative_to(root.resolve())) for name, path in wanted.paths.items()}
        path = f"rounds/{loop.policy}/{number:06d}/train.json"
        try:
            create_json(ports.store, path, found)
        except ClaimTaken:
            # The round was made anew with another recipe: its trainer would be told the old one's paths.
            if read_json(ports.store, path) != found:
                raise FailedPrecondition("this number was prepared for another training", number=number) from None
        return None


def finish(loop: Loop, recipe: Recipe, ports: Ports) -> Report:
    """From the train stage's output to the end. Raises FailedPrecondition where there is none."""
    return Round(loop, recipe, replace(ports, run=adopting(ports.run))).run()


def deferring(run: Run) -> Run:
    """`run`, but for the train stage, which is told by an exception."""

    def deferred(arguments: Sequence[str]) -> dict[str, Any]:
        if _trains(arguments):
            raise TrainWanted(_paths(arguments))
        return run(arguments)

    return deferred


def adopting(run: Run) -> Run:
    """`run`, but for the train stage, whose output must be there."""

    def adopted(arguments: Sequence[str]) -> dict[str, Any]:
        if not _trains(arguments):
            return run(arguments)
        # It appears whole, by one rename, or not at all.
        if not _paths(arguments)["out"].is_dir():
            raise FailedPrecondition("the train stage has left no output")
        return {}

    return adopted


def _trains(arguments: Sequence[str]) -> bool:
    return tuple(arguments[: len(TRAINING) + 1]) == (*TRAINING, "run")


def _paths(arguments: Sequence[str]) -> dict[str, Path]:
    given = list(arguments)
    return {name: Path(given[given.index(f"--{name}") + 1]) for name in OPTIONS}

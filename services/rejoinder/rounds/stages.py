"""Stages that resume: an output belongs to the digest of its inputs, and the first complete one wins.

A stage's key is over its inputs' digests, parameters, seed and the stages' own version. Outputs carry their own digest
and are not predicted by the key: training is not bit-equal across machines and thread counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.ids import digest_of
from rejoinder.registry.claims import publish_stage, stage_output
from rejoinder.registry.store import Store

#: Raised when what a stage does with the same inputs changes.
CODE = "rounds/1"

#: The room that needs torch, as a process.
TRAINING = (sys.executable, "-m", "rejoinder.training")


@dataclass(frozen=True)
class Done:
    """A stage's output: its key, and the plain values that the next stages and the manifest need."""

    name: str
    key: str
    output: Mapping[str, Any]


class Stages:
    """owns: nothing; the store has the outputs. told: hears (stage, "run" or "taken") as each begins or is found."""

    def __init__(self, store: Store, told: Callable[[str, str], None]) -> None:
        self._store = store
        self._told = told

    def run(self, name: str, inputs: Mapping[str, Any], make: Callable[[str], Mapping[str, Any]]) -> Done:
        """The output for these inputs: a published one, or what `make` (given the key) returns, then published."""
        key = digest_of({"stage": name, "code": CODE, "inputs": inputs})
        found = stage_output(self._store, key)
        self._told(name, "run" if found is None else "taken")
        if found is None:
            found = publish_stage(self._store, key, dict(make(key)))
        return Done(name, key, found)


def paths(**named: Path) -> list[str]:
    """`--name path` for each, as the stages' commands take them."""
    return [word for name, path in named.items() for word in (f"--{name.replace('_', '-')}", str(path))]


def command(arguments: Sequence[str], cwd: Path | None = None) -> dict[str, Any]:
    """Runs a stage's process; answers its last line of JSON. Raises FailedPrecondition with its own last words."""
    done = subprocess.run(list(arguments), cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    return outcome(arguments[0], done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """Of a stage's process. Models get no network: what they need is on the disk. Their threads wait asleep unless
    somebody said otherwise: beside busy services, spinning ones made training about ten times slower."""
    return {"OMP_WAIT_POLICY": "passive"} | dict(os.environ) | {"HF_HUB_OFFLINE": "1"}


def outcome(program: str, status: int, out: str, err: str) -> dict[str, Any]:
    """The last line of JSON that a process wrote. Raises FailedPrecondition where its exit status is not 0."""
    if status:
        said = err.strip().splitlines()[-1:] or [f"exit status {status}"]
        raise FailedPrecondition(f"the stage's command failed: {said[0]}", command=program, status=status)
    for line in reversed(out.strip().splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}

"""services/Dockerfile read as its stages; the tests of its text and the builder of the images look at the same."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
FILE = ROOT / "services" / "Dockerfile"
#: Targets that are no process: stages that others are made from.
STAGES = {"packages", "build", "operating", "models", "process"}


@dataclass
class Target:
    """base: what stands behind FROM. lines: (instruction, rest) in order."""

    base: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def words(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.lines if name == instruction]


def read(text: str = "") -> dict[str, Target]:
    """By name, in the file's order. Instructions before the first FROM belong to no target."""
    joined = re.sub(r"\\\n", " ", text or FILE.read_text("utf-8"))
    targets: dict[str, Target] = {}
    now = Target("")
    for line in joined.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            now = targets[alias] = Target(base)
        else:
            now.lines.append((name, rest))
    return targets

"""The quickest precision of a model on this machine that is still the same model: as a user makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.report import Row


@dataclass(frozen=True)
class Compiled:
    """precision, folder: of the best. variants: all that could be made, as `rejoinder compile --json` says."""

    precision: str
    folder: Path
    variants: list[dict[str, Any]]

    def rows(self, what: str) -> list[Row]:
        """What the best costs in exactness beside fp32."""
        (best,) = (row for row in self.variants if row["precision"] == self.precision)
        name = f"{what}, {self.precision} beside fp32"
        return [
            Row(f"{name}: least cosine and correlation of an output", best["least"], 1.0, "cosine", 0.999, least=True),
            Row(f"{name}: ordered alike / all", best["agreement"], 1.0, "share"),
        ]


def compiled(model: Path, out: Path, threads: int) -> Compiled:
    """Takes some twenty seconds. Raises CalledProcessError."""
    command = [
        sys.executable,
        "-m",
        "rejoinder.cli.main",
        "compile",
        "--model",
        str(model),
        "--out",
        str(out),
        "--json",
    ]
    precisions = [word for name in ("fp32", "bf16", "int8") for word in ("--precision", name)]
    done = subprocess.run([*command, *precisions, "--threads", str(threads)], check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    for row in found["variants"]:
        print(f"{model.name} {row['precision']}: {_told(row)}", file=sys.stderr)
    return Compiled(found["best"], out / found["best"], found["variants"])


def _told(row: dict[str, Any]) -> str:
    if not row["made"]:
        return row["because"]
    exact = f"cosine {row['least']:.6f}, ordered alike {row['agreement']:.4f}"
    return f"{row['tokens_per_cpu_s']:.0f} tokens/CPU-s, {exact}"

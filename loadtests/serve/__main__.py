"""What serving costs beside its peers, the same weights on the same cores in turns: `make bench WHAT=serve`.

Work a CPU-second of the serving process and work a second, medians of the rounds; the first round warms up and does not
count. CPU-seconds are what a shared machine can tell; both are given, and the demand is put on both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from loadtests import report
from loadtests.report import Row
from loadtests.serve import costs, encoders, generation, models, shared, signals, swaps
from loadtests.serve.measure import Found, spread
from loadtests.serve.models import Models
from loadtests.serve.peers import tei

#: A section: folder to work in, models, rounds → rows, and what every side took.
Section = Callable[[Path, Models, int], tuple[list[Row], Found]]

SECTIONS: Mapping[str, Section] = {
    "shared": shared.measured,
    "encoders": encoders.measured,
    "generation": generation.measured,
    "swaps": swaps.measured,
    "signals": signals.measured,
    "costs": costs.measured,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.serve", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the report, JSON")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="these sections, instead of all")
    parser.add_argument(
        "--tei", type=tei.binary, help="Text Embeddings Inference's server; without it its rows are empty"
    )
    arguments = parser.parse_args()
    sections = {**SECTIONS, "encoders": partial(encoders.measured, router=arguments.tei)}
    rows: list[Row] = []
    samples: dict[str, Any] = {}
    served = models.made()
    packages = ("onnxruntime", "onnxruntime-genai", "grpcio", "torch", "transformers")
    facts = {**report.machine(), **report.versions(*packages), "rounds": arguments.rounds}
    if arguments.tei:
        facts["tei"] = tei.version(arguments.tei)
    for name in arguments.only or SECTIONS:
        print(f"{name}:", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="rejoinder-bench-") as folder:
            found, took = sections[name](Path(folder), served, arguments.rounds)
        rows += found
        samples |= spread(took)
        # After each section: whoever ends a long run keeps what was found.
        report.write(arguments.out, rows, facts=facts, samples=samples)
    print(report.table(rows, facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())

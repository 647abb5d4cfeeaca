"""A scenario against a deployment: `make load SCENARIO=reward`, `python -m loadtests reward`.

The deployment is the one whose addresses are given (`--address reward=host:port`), or the `rejoinder up` that runs for
`--data`, or one that is started for the run. Exit status: 0; 1 where a demand was missed; 3 where the run is invalid.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from loadtests import deployment, report
from loadtests.openloop import run as openloop
from loadtests.openloop.scenario import Scenario, named
from loadtests.work.table import WORKS

MET, MISSED, INVALID = 0, 1, 3


def measured(scenario: Scenario, given: Mapping[str, str], data: Path | None, token: Path | None) -> openloop.Found:
    """Raises Missing, RuntimeError."""
    needs = WORKS[scenario.work].traits["needs"]
    with tempfile.TemporaryDirectory(prefix="rejoinder-load-") as name:
        folder = Path(name)
        known = given or data is not None
        here = nullcontext(deployment.running(given, data, needs)) if known else deployment.started(folder, needs)
        with here as targets:
            return openloop.run(scenario, targets, folder, token)


def _address(text: str) -> tuple[str, str]:
    service, equals, target = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("service=host:port")
    return service, target


def arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("scenario", help="a file's name in loadtests/scenarios, or a path that ends with .yaml")
    parser.add_argument("--out", type=Path, help="the report, JSON; by default reports/load-SCENARIO.json")
    parser.add_argument("--address", type=_address, action="append", default=[], help="service=host:port")
    parser.add_argument("--data", type=Path, help="data folder of a running `rejoinder up`")
    parser.add_argument("--token-file", type=Path, help="bearer token")
    parser.add_argument("--seconds", type=float, help="instead of the scenario's")
    return parser.parse_args()


def main() -> int:
    said = arguments()
    scenario = named(said.scenario)
    if said.seconds:
        scenario = scenario.model_copy(update={"seconds": said.seconds})
    found = measured(scenario, dict(said.address), said.data, said.token_file)
    facts, rows = report.machine(), openloop.rows(found, scenario)
    out = said.out or Path("reports") / f"load-{Path(said.scenario).stem}.json"
    result = openloop.as_json(found, scenario)
    report.write(out, rows, facts=facts, **result)
    print(openloop.table(result))
    if rows:
        print(f"\n{report.table(rows, facts)}")
    print(json.dumps({"valid": result["valid"], "report": str(out)}))
    if not result["valid"]:
        return INVALID
    return MISSED if any(row.met is False for row in rows) else MET


if __name__ == "__main__":
    sys.exit(main())

"""A process that sends: `python -m loadtests.openloop.worker READY`.

For each line on stdin, {"scenario", "targets", "token_file", "begin", "part", "parts"}, it sends its part and answers
with what it found. begin: a reading of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any

from loadtests.openloop.generator import Findings, generate
from loadtests.openloop.scenario import Scenario
from loadtests.processes import say_ready
from loadtests.work.table import WORKS, Reach


async def part(said: dict[str, Any]) -> Findings:
    scenario = Scenario.model_validate(said["scenario"])
    row = WORKS[scenario.work]
    token_file = said["token_file"]
    reach = Reach(said["targets"], Path(token_file) if token_file else None)
    work = row.make(row.with_params(dict(scenario.options)), reach, scenario.seed)
    try:
        return await generate(work, scenario, said["begin"], said["part"], said["parts"])
    finally:
        await work.close()


def main() -> None:
    # What is here stays: a collection in the middle of a run is a pause of the generator's own. Fewer of them would be
    # longer: every 20,000 objects of calls that ended in an error took 12 to 24 ms.
    gc.freeze()
    say_ready(Path(sys.argv[1]), 0)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(part(json.loads(line))).packed()), flush=True)


if __name__ == "__main__":
    main()

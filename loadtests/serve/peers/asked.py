"""A peer without a server of its own: a JSON object a line in, one out, with its CPU and clock seconds."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadtests.processes import say_ready

Work = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def answer(ready: str, work: Work) -> None:
    """Until its input ends. What libraries print goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    say_ready(Path(ready), 0)
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        found = work(json.loads(line))
        took = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        print(json.dumps({**took, **found}), file=out, flush=True)

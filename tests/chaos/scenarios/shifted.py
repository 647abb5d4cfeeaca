"""A process of ours whose wall clock is wrong: `shifted.py SECONDS MODULE`.

What the product reads (`SystemClock.now`) is moved; monotonic time stays, as on a machine whose clock was set. Not
`time.time`: gRPC holds that against its own clock, and every deadline would have passed.
"""

from __future__ import annotations

import runpy
import sys
import time

from rejoinder.core.clock import SystemClock


def main(shift_s: float, module: str) -> None:
    SystemClock.now = lambda clock: time.time() + shift_s  # type: ignore[method-assign]
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])

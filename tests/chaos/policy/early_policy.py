"""A policy process that is wrong on purpose: its spool says "on disk" at once and writes a moment later (F06)."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future

import rejoinder.policy.__main__ as process
from rejoinder.core.types import Interaction
from rejoinder.policy.settings import PolicySettings
from rejoinder.runtime.serve import run
from rejoinder.runtime.spool import Spool

LATE_S = 0.2


class EarlySpool(Spool):
    def put(self, interaction: Interaction) -> Future[bool]:
        threading.Timer(LATE_S, super().put, [interaction]).start()
        done: Future[bool] = Future()
        done.set_result(True)
        return done


if __name__ == "__main__":
    process.Spool = EarlySpool  # type: ignore[misc]
    sys.exit(run("policy", PolicySettings, process.build))

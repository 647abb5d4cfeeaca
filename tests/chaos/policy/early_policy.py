"""A policy process that is wrong on purpose: its spool says "on disk" at once and writes some answers later (F06)."""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import Future
from typing import Any

import rejoinder.policy.__main__ as process
from rejoinder.core.types import AttemptStatus, Interaction
from rejoinder.policy.settings import PolicySettings
from rejoinder.runtime.serve import run
from rejoinder.runtime.spool import Spool

#: Whole answers behind which an answer is written: more than callers, so that whenever a kill falls, and however late
#: on a busy machine, some that callers saw completed are not on disk yet.
HELD = 12


class EarlySpool(Spool):
    """owns, beside the spool: the last answers."""

    def __init__(self, *given: Any) -> None:
        self._held: deque[Interaction] = deque()
        super().__init__(*given)

    def put(self, interaction: Interaction) -> Future[bool]:
        self._held.append(interaction)
        while sum(held.status is AttemptStatus.COMPLETED for held in self._held) > HELD:
            super().put(self._held.popleft())
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    def drain(self, timeout_s: float) -> bool:
        # A drain is no kill: even this one writes what it promised when it is asked to leave.
        while self._held:
            super().put(self._held.popleft())
        return super().drain(timeout_s)


if __name__ == "__main__":
    process.Spool = EarlySpool  # type: ignore[misc]
    sys.exit(run("policy", PolicySettings, process.build))

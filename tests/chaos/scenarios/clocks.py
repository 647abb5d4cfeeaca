"""Clocks that are wrong."""

from __future__ import annotations

import sys
from pathlib import Path

from rejoinder.stream.headers import event_of

from tests.chaos.scenarios.callers import Habit
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site
from tests.system.logs import everything

SHIFTED = str(Path(__file__).with_name("shifted.py"))
#: More than a day either way: the two copies of an event belong to different day partitions of the ledger.
SHIFT_H = 26


def shifted_clock(site: Site, events: int) -> Outcome:
    """F07, U01: one ingest process a day and two hours ahead, one as much behind; every event goes to both, and their
    two stamps lie in different partitions of the ledger. It is stored once all the same."""
    wrong = [(sys.executable, SHIFTED, str(hours * 3600), "rejoinder.feedback") for hours in (SHIFT_H, -SHIFT_H)]
    with site.town(feedback=wrong) as town:
        with town.traffic(events, habit=Habit(copies=(2, 3))) as traffic:
            traffic.reach(1.0)
        found = town.outcome(copies_of_each="2 or 3")
        with town.log() as log:
            stamps = [event_of(record).accepted_at for record in everything(log)]
        apart_h = (max(stamps) - min(stamps)) / 3600
        proven(apart_h > 2 * SHIFT_H - 1, f"the clocks are {apart_h:.1f} h apart")
        proven(found.evidence["copies_on_the_log"], "no event lay on the log under both clocks")
        return found

"""Faults put in on purpose, on the same brokers, killed the same way: the counting must find each of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.chaos.scenarios.row import Outcome
from tests.chaos.scenarios.site import Site

WRONG_SERVERS = str(Path(__file__).parent.parent / "ingest" / "wrong_servers.py")


def ack_before_the_write(site: Site, events: int, **changed: Any) -> Outcome:
    """F06: an ingest process that says "recorded" and writes some batches later. changed: as `Site.town` takes it."""
    with site.town(feedback=((sys.executable, WRONG_SERVERS, "early"),), **changed) as town:
        with town.traffic(events) as traffic:
            for share in (0.3, 0.6):
                traffic.reach(share)
                traffic.strike(town.feedback.kill)
                town.feedback.start()
        # What it holds is written when it is told to leave: what is missing then, the kills took.
        assert town.feedback.terminate() == 0
        return town.outcome()


def commit_before_the_work(site: Site, events: int) -> Outcome:
    """F06: a worker that commits its positions, then does the work, killed between."""
    return _halted(site, events, "early", "committed")


def work_outside_a_transaction(site: Site, events: int) -> Outcome:
    """F07: a worker whose signals and positions are two things, killed between."""
    return _halted(site, events, "plain", "appended")


def _halted(site: Site, events: int, mode: str, where: str) -> Outcome:
    with site.town(session_timeout_s=2.0, poll_interval_s=10.0) as town:
        wrong = town.worker("a", mode)
        with town.traffic(events) as traffic:
            traffic.reach(0.3)
            wrong.says(where)
            wrong.kill()
            town.worker("a")
        return town.outcome(signals=True, settle_s=5.0)

"""kill -9 of our own processes, and of PostgreSQL, under traffic."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import psycopg

from tests.chaos.harness import wait_until
from tests.chaos.scenarios.callers import Flow, rating
from tests.chaos.scenarios.count import read_by_ledger, session, unsignalled
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site, Town
from tests.system.logs import everything

KILLS = 5
SIGNALS = (sys.executable, "-m", "rejoinder.signals")
#: Sessions that have written something and not committed it.
_WRITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"


def feedback_killed(site: Site, events: int) -> Outcome:
    """F06, F07, U01, U02: kill -9 of the ingest process, each time with calls on their way."""
    with site.town() as town:
        pending = []
        with town.traffic(events) as traffic:
            for kill in range(KILLS):
                traffic.reach((kill + 1) / (KILLS + 1))
                pending.append(traffic.strike(town.feedback.kill))
                town.feedback.start()
                traffic.go_on()
        return town.outcome(kills=len(pending), calls_on_their_way=pending)


def ledger_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of the projector between its first write of a batch and its commit, each time."""
    with site.town(ledger={"STORE__BATCH": "200"}) as town:
        with town.traffic(events) as traffic, session(town.database) as database:
            for kill in range(KILLS):
                traffic.reach((kill + 1) / (KILLS + 1))
                stop_inside_a_batch(town, traffic, database)
                os.kill(town.ledger.pid, signal.SIGKILL)
                town.ledger.close()
                wait_until(lambda: not _writing(database), "the end of the dead one's transaction")
                town.ledger.start()
        return town.outcome(kills=KILLS, inside_a_batch=KILLS)


def stop_inside_a_batch(town: Town, traffic: Flow, database: psycopg.Connection[Any]) -> None:
    """Stops the ledger while it has written what it has not committed."""

    def inside() -> bool:
        os.kill(town.ledger.pid, signal.SIGSTOP)
        if _writing(database):
            return True
        os.kill(town.ledger.pid, signal.SIGCONT)
        return False

    traffic.until(inside, "the ledger inside a batch")


def _writing(database: psycopg.Connection[Any]) -> bool:
    (count,) = database.execute(_WRITING).fetchone() or (0,)
    return bool(count)


def signals_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of the process that reads reactions, each time with some that it has not read; each of them has
    one signal, in the log and the ledger."""
    kills = 3
    with site.town() as town:
        told = {
            "SOURCE__LEDGER": f"127.0.0.1:{town.ledger.port}",
            "SOURCE__SLOT": "0",
            "READ__EXTRACTORS": '["ratings"]',
        }
        signals = town.process("signals", "signals", SIGNALS, told, "SOURCE__KAFKA", "SOURCE__LOG")
        signals.start()
        unread = []
        with town.traffic(events, reaction=rating) as traffic, town.log() as log:
            for kill in range(kills):
                traffic.reach((kill + 1) / (kills + 1))
                traffic.until(lambda: unsignalled(log) > 0, "reactions that nobody has read")
                signals.kill()
                unread.append(unsignalled(log))
                before = len(everything(log, "signals"))
                signals.start()
                traffic.until(lambda before=before: len(everything(log, "signals")) > before, "further signals")
        found = town.outcome(signals=True, settle_s=90.0, kills=kills, unread_when_killed=unread)
        proven(all(unread), "it was killed when it had read everything")
        return found


def postgres_killed(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 of PostgreSQL with all its sessions; the ledger's process lives on and finds it again."""
    kills = 3
    with site.town(ledger={"STORE__BATCH": "200"}) as town:
        pid = town.ledger.pid
        behind = []
        with town.traffic(events) as traffic:
            for kill in range(kills):
                traffic.reach((kill + 1) / (kills + 1))
                with session(town.database) as database:
                    read = sum(read_by_ledger(database).values())
                    stop_inside_a_batch(town, traffic, database)
                    site.postgres.kill()
                os.kill(pid, signal.SIGCONT)
                behind.append(traffic.acknowledged - read)
                # It has no store, and acknowledgements go on all the same.
                traffic.go_on()
                site.postgres.restart()
        found = town.outcome(kills=kills, inside_a_batch=kills, behind=behind)
        proven(town.ledger.pid == pid and town.ledger.starts == 1, "the ledger's process did not live through it")
        return found

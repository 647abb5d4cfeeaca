"""People who ask a service again and again while it is killed, and what of the answers that they saw the ledger has."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.chaos.harness import Process, Recorder, Traffic, wait_until
from tests.chaos.scenarios.count import session
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Town

KILLS = 4


class Askers:
    """owns: their record of attempts that they saw answered. asks: of each, one question that answers its attempt's id.
    breaks: what a question may end with while the service dies."""

    def __init__(self, asks: Sequence[Callable[[], str]], breaks: tuple[type[Exception], ...], folder: Path) -> None:
        self.seen = Recorder(folder / "seen")
        self.broken = 0
        self._waiting = [False] * len(asks)
        self._asks = asks
        self._breaks = breaks

    def traffic(self) -> Traffic:
        return Traffic(len(self._asks), self._ask)

    def strike(self, traffic: Traffic, process: Process) -> int:
        """kill -9 while people wait for their answers; how many did."""

        waiting = 0

        def asked() -> bool:
            nonlocal waiting
            traffic.check()
            # Looked at once: a moment later the same questions may have been answered.
            waiting = sum(self._waiting)
            return waiting > 0

        wait_until(asked, "a question on its way")
        process.kill()
        return waiting

    def _ask(self, person: int, stop: threading.Event) -> None:
        self._waiting[person] = True
        try:
            attempt = self._asks[person]()
        except self._breaks:
            self.broken += 1
            stop.wait(0.02)
            return
        finally:
            self._waiting[person] = False
        # On disk outside the service before the next question.
        self.seen.acknowledged([attempt])


def killed_again_and_again(town: Town, process: Process, askers: Askers, spool: Path, events: int) -> Outcome:
    """kill -9 of a service that logs by a spool; what was seen is in the ledger once, by way of the next process, which
    adopts the spool of the dead one."""
    struck = []
    try:
        with askers.traffic() as traffic:
            for kill in range(KILLS):
                _seen(askers, traffic, max((kill + 1) * events // (KILLS + 1), askers.seen.count + 20))
                struck.append(askers.strike(traffic, process))
                process.start()
            _seen(askers, traffic, max(events, askers.seen.count + 20))
        traffic.check()
        proven(askers.broken, "nobody was being answered when it was killed")
        wait_until(lambda: not _waiting(spool), "an empty spool", 90.0)
        town.count()
        seen, there = set(askers.seen.read()), _stored(town)
    finally:
        askers.seen.close()
    return Outcome.counted(
        seen,
        there,
        evidence={"kills": KILLS, "questions_on_their_way": struck, "broken_calls": askers.broken},
    )


def _waiting(spool: Path) -> bool:
    """Whether answers wait there for the log."""
    for path in spool.glob("*.spool"):
        # One that was adopted goes once it is empty, maybe while we look.
        with suppress(FileNotFoundError):
            if path.stat().st_size:
                return True
    return False


def _stored(town: Town) -> Counter[str]:
    """Answers that the ledger holds, by attempt."""
    with session(town.database) as database:
        query = "SELECT attempt_id, count(*) FROM interactions GROUP BY attempt_id"
        return Counter(dict(database.execute(query).fetchall()))


def _seen(askers: Askers, traffic: Traffic, count: int) -> None:
    def enough() -> bool:
        traffic.check()
        return askers.seen.count >= count

    wait_until(enough, f"{count} answers", 180.0)

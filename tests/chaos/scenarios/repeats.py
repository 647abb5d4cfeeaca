"""The same event more than once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from rejoinder.clients import Connection, FeedbackClient, LedgerClient
from rejoinder.core.types import Feedback, Interaction

from tests.chaos.harness import Process, wait_until
from tests.chaos.scenarios.callers import BATCH, Habit, answer, name_of, said
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import FEEDBACK, Site, Town

#: Answers and follow-ups of the run that is sent three times, in a whole run.
TEN_THOUSAND = 10_000
Batch = Sequence[Interaction | Feedback]


def duplicate_delivery(site: Site, events: int) -> Outcome:
    """F07, U01: two ingest processes, each batch up to three times to either, some without waiting for the answer."""
    with site.town(feedback=(FEEDBACK, FEEDBACK)) as town:
        with town.traffic(events, habit=Habit(copies=(1, 2, 3), hasty=0.3)) as traffic:
            traffic.reach(1.0)
        found = town.outcome(unanswered=traffic.unanswered)
        proven(traffic.unanswered, "no call was left unanswered")
        proven(found.evidence["copies_on_the_log"] > events // 10, "hardly an event lay on the log twice")
        return found


def thrice_with_kills(site: Site, events: int) -> Outcome:
    """F06, F07, U01: 10,000 events sent three times with kills between are 10,000 rows; the ledger's digest and its
    statistics are those of one clean run of the same events."""
    size = TEN_THOUSAND if events > TEN_THOUSAND // 4 else events
    batches = _batches(size // 2)
    with site.town() as clean:
        worker = clean.worker("a")
        _send(clean, batches, lambda: None)
        clean.count(signals=True)
        truth = _statistics(clean)
        worker.close()
    with site.town() as town:
        worker = town.worker("a")

        def replaced() -> None:
            worker.kill()
            town.worker("a")

        blows = {
            "feedback": partial(_restarted, town.feedback),
            "ledger": partial(_restarted, town.ledger),
            "worker": replaced,
        }
        for blow in blows.values():
            _send(town, batches, blow)
        found = town.outcome(signals=True, times=len(blows), kills=list(blows))
        proven(found.evidence["copies_on_the_log"] > 0, "no second copy reached the log")
        assert found.stored == 2 * (size // 2), f"{found.stored} rows of {size} events"
        assert _statistics(town) == truth, "digest or statistics are others than those of one clean run"
        return replace(found, evidence={**found.evidence, "digest_and_statistics_equal_a_clean_run": True})


def _restarted(process: Process) -> None:
    process.kill()
    process.start()


def _batches(answers: int) -> list[Batch]:
    """Answers and follow-ups with every stamp fixed, so that two runs are the same events."""
    fixed = {"accepted_at": float(int(time.time())), "principal": "chaos"}
    names = [f"thrice-{number}" for number in range(answers)]
    out: list[Batch] = []
    for start in range(0, answers, BATCH):
        part = names[start : start + BATCH]
        out += [[replace(make(name), **fixed) for name in part] for make in (answer, said)]  # type: ignore[operator]
    return out


def _send(town: Town, batches: Sequence[Batch], blow: Callable[[], None]) -> None:
    """Sends all, patiently; the blow falls when a third is acknowledged."""
    done: list[int] = []
    known = set(town.recorder.read())

    def sending() -> None:
        client = FeedbackClient(Connection(f"127.0.0.1:{town.feedback.port}", tries=10_000, deadline_s=120.0))
        try:
            for batch in batches:
                call: Any = client.record_feedback if isinstance(batch[0], Feedback) else client.record_interactions
                results = zip(batch, call(batch), strict=True)
                told = [name_of(event) for event, result in results if result.recorded]
                town.recorder.acknowledged([name for name in told if name not in known])
                done.append(len(told))
        finally:
            client.close()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(sending)
        wait_until(lambda: sent.done() or len(done) > len(batches) // 3, "a third of the batches", 120.0)
        blow()
        sent.result(180.0)


def _statistics(town: Town) -> dict[str, Any]:
    """The ledger's digest, and what it says of satisfaction."""
    with_ledger = LedgerClient(Connection(f"127.0.0.1:{town.ledger.port}", deadline_s=60.0))
    try:
        satisfaction = with_ledger.satisfaction("version")
        return {"digest": with_ledger.parity().digest, "satisfaction": satisfaction}
    finally:
        with_ledger.close()

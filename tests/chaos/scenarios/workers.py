"""Workers of a group that die, sleep, come and go: of each follow-up there is one signal, in the log and the ledger."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import replace

from rejoinder.stream.kafka.log import KafkaLog

from tests.chaos.harness import wait_until
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site, WorkerProcess
from tests.system.logs import everything

#: A killed worker may delay readers by so much (contracts, "Derived events").
DELAY_S = 10.0
LIVES = 14


def killed_inside(site: Site, events: int) -> Outcome:
    """F06, F07: kill -9 with signals written, positions sent and no commit. Nobody takes the dead one's slot: readers
    of the topic wait until the brokers undo the step, and no longer than ten seconds."""
    with site.town(session_timeout_s=2.0, poll_interval_s=10.0) as town:
        dying = town.worker("a", "inside")
        with town.traffic(events) as traffic, town.log() as log:
            traffic.reach(0.2)
            dying.says("inside")
            heir = town.worker("b")
            before = len(everything(log, "signals"))
            dying.close()
            died = time.monotonic()
            wait_until(lambda: len(everything(log, "signals")) > before, "signals behind the dead one's", 60.0)
            delay = time.monotonic() - died
        found = town.outcome(signals=True, readers_delayed_s=round(delay, 1), allowed_s=DELAY_S)
        heir.signal(signal.SIGTERM)
        assert heir.ended() == "stopped", heir.log_end()
        assert delay <= DELAY_S, f"readers waited {delay:.1f} s"
        return found


def woken_inside(site: Site, events: int) -> Outcome:
    """F07, F11: a worker stopped inside a transaction for longer than its session and the transaction's own limit. It
    wakes where it slept, at its commit; another has done its work, and the brokers refuse it."""
    with site.town(session_timeout_s=2.0, poll_interval_s=6.0, transaction_s=4.0) as town:
        sleeper = town.worker("a", "inside")
        with town.traffic(events) as traffic, town.log() as log:
            traffic.reach(0.2)
            sleeper.says("inside")
            sleeper.signal(signal.SIGSTOP)
            town.worker("b")
            wait_until(lambda: _signals(log) >= traffic.acknowledged // 3, "the heir's signals", 60.0)
            sleeper.signal(signal.SIGCONT)
            sleeper.tell()
            traffic.go_on()
        found = town.outcome(signals=True)
        refused = _woken(sleeper)
        proven(refused, "the woken worker was not refused")
        return replace(found, evidence={**found.evidence, "woken": refused})


def _woken(sleeper: WorkerProcess) -> str:
    """How the woken one was told: it ended with the reason, or went on from the group's positions (Rebalanced)."""
    if sleeper.lives:
        sleeper.signal(signal.SIGTERM)
    ended = sleeper.ended()
    moved = "partitions moved" in sleeper.log_end() or "step failed" in sleeper.log_end()
    return ended if ended != "stopped" else ("its step was undone and begun anew" if moved else "")


def fenced_producer(site: Site, events: int) -> Outcome:
    """F07, F11: two holders of one slot, three times over: the first is refused by the brokers, the second works."""
    reasons = []
    with site.town(session_timeout_s=2.0, poll_interval_s=10.0) as town:
        holder = town.worker("a")
        with town.traffic(events) as traffic, town.log() as log:
            for share in (0.2, 0.45, 0.7):
                traffic.reach(share)
                wait_until(lambda: _signals(log) > 0, "the holder's work")
                second = town.worker("a")
                reasons.append(holder.ended())
                holder = second
        found = town.outcome(signals=True, ended_with=reasons)
        proven(all(reason == "FENCED" for reason in reasons), f"the first holders ended with {reasons}")
        return found


def rebalance_storm(site: Site, events: int) -> Outcome:
    """F06, F07: three slots whose workers are killed, told to stop and started again without a pause."""
    rng = random.Random(41)
    with site.town(session_timeout_s=1.0, poll_interval_s=6.0) as town:
        slots = {name: town.worker(name) for name in "abc"}
        lives = {"killed": 0, "stopped": 0}
        with town.traffic(events) as traffic, town.log() as log:
            for life in range(LIVES):
                traffic.reach(min(0.9, life / LIVES))
                name = rng.choice("abc")
                _signals_grow(log)
                if rng.random() < 0.5:
                    slots[name].close()
                    lives["killed"] += 1
                else:
                    slots[name].signal(signal.SIGTERM)
                    # One that is told so before it has begun just ends.
                    assert slots[name].ended() in ("stopped", ""), slots[name].log_end()
                    lives["stopped"] += 1
                slots[name] = town.worker(name)
        found = town.outcome(signals=True, members_gone=lives)
        for worker in slots.values():
            worker.signal(signal.SIGTERM)
        return found


def _signals_grow(log: KafkaLog) -> None:
    before = _signals(log)
    wait_until(lambda: _signals(log) > before, "further signals")


def _signals(log: KafkaLog) -> int:
    """Stable ends, markers included: enough to see work going on."""
    return sum(log.end_offsets("signals").values())

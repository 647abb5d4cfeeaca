"""reconcile/queue: a key at a time, looked at once more where it changed meanwhile, later where it fails."""

from __future__ import annotations

from random import Random

from rejoinder.core.clock import ManualClock
from rejoinder_operator.reconcile.queue import LONGEST_S, WorkQueue


def queue() -> tuple[WorkQueue[str], ManualClock]:
    clock = ManualClock()
    return WorkQueue(clock, Random(1)), clock


def test_a_key_added_twice_is_looked_at_once() -> None:
    made, _ = queue()
    made.add("a")
    made.add("a")
    assert made.take(0.0) == "a"
    made.done("a")
    assert made.take(0.0) is None


def test_a_key_that_changes_while_it_is_looked_at_is_looked_at_once_more_and_by_nobody_else() -> None:
    made, _ = queue()
    made.add("a")
    assert made.take(0.0) == "a"
    made.add("a")
    assert made.take(0.0) is None
    made.done("a")
    assert made.take(0.0) == "a"


def test_a_failing_key_waits_longer_each_time_and_holds_up_nobody() -> None:
    made, clock = queue()
    made.add("bad")
    pauses = []
    for _ in range(12):
        assert made.take(0.0) == "bad"
        pauses.append(made.failed("bad"))
        made.add("good")
        assert made.take(0.0) == "good"
        made.done("good")
        assert made.take(0.0) is None
        clock.advance(pauses[-1])
    assert pauses[0] < pauses[2] < pauses[4]
    assert max(pauses) <= LONGEST_S
    assert made.take(0.0) == "bad"
    made.done("bad")
    made.add("bad")
    assert made.take(0.0) == "bad"
    assert made.failed("bad") <= 1.0


def test_sooner_wins_over_later() -> None:
    made, clock = queue()
    made.add("a", 100.0)
    made.add("a", 5.0)
    made.add("a", 50.0)
    clock.advance(5.0)
    assert made.take(0.0) == "a"
    made.done("a")
    clock.advance(100.0)
    assert made.take(0.0) is None

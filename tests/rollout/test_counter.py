"""rollout/counter: one count per unit and rollout, in bounded memory, whatever the log keeps (U15, U16)."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from rejoinder.core.arms import ArmsTable, Lease, Salts, Step, Version
from rejoinder.core.types import ArmKind
from rejoinder.rollout.assignment import Assignment, Caller, assign
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.sample_ratio import CountedRatio

NOW = 1_700_000_000.0
STABLE, CANARY = Version("r41", "d41"), Version("r42", "d42")
BOTH = {"d41", "d42"}


def table(*weights: float, salt: str = "s", holdout: float = 0.0) -> ArmsTable:
    steps = tuple(Step(weight, NOW + i) for i, weight in enumerate(weights))
    return ArmsTable(
        "assist",
        salts=Salts(salt),
        holdout_share=holdout,
        stable=STABLE,
        canary=CANARY,
        steps=steps,
        lease=Lease(30.0, NOW, NOW + 30.0),
    )


def draw(arms: ArmsTable, user: str, **other: object) -> Assignment:
    asked = {"now": NOW + 9, "lease_ok": True, "loaded": BOTH} | other
    return assign(arms, Caller("t", user), **asked)  # type: ignore[arg-type]


def met(counter: AssignmentCounter, arms: ArmsTable, people: range, **other: object) -> int:
    """How many of them are counted."""
    return sum(counter.add(arms.salts.assignment, draw(arms, f"u{i}", **other)) for i in people)


def test_a_unit_counts_once_however_often_it_comes() -> None:
    counter = AssignmentCounter("e")
    for _ in range(5):
        met(counter, table(0.2), range(500))
    ((weight, units, canary),) = counter.drawn().counts
    assert (weight, units) == (0.2, 500)
    assert canary == sum(draw(table(0.2), f"u{i}").bucket < 0.2 for i in range(500))


def test_a_unit_that_a_ramp_moves_stays_counted_at_its_first_weight() -> None:
    counter = AssignmentCounter("e")
    met(counter, table(0.05), range(300))
    assert met(counter, table(0.05, 0.2), range(400)) == 100
    assert [(weight, units) for weight, units, _ in counter.drawn().counts] == [(0.05, 300), (0.2, 100)]


def test_draws_that_could_go_only_one_way_do_not_count() -> None:
    counter, arms = AssignmentCounter("e"), table(0.5)
    assert met(counter, table(0.5, holdout=1.0), range(50)) == 0
    assert met(counter, arms, range(50), lease_ok=False) == 0
    assert met(counter, arms, range(50), loaded={"d41"}) == 0
    assert met(counter, arms, range(50), spool_has_room=False) == 0
    assert met(counter, table(1.0), range(50)) == 0
    assert counter.drawn().counts == ()
    assert met(counter, arms, range(50)) == 50


def test_another_rollout_begins_from_nothing_and_says_which_it_is() -> None:
    counter = AssignmentCounter("e")
    met(counter, table(0.5), range(50))
    assert met(counter, table(0.5, salt="other"), range(20)) == 20
    drawn = counter.drawn()
    assert (drawn.epoch, drawn.salt, drawn.counts[0][1]) == ("e", "other", 20)


def test_memory_is_bounded_no_total_falls_and_the_share_stays_true() -> None:
    counter, arms, before = AssignmentCounter("e", most=256), table(0.3), 0
    for start in range(0, 20_000, 500):
        met(counter, arms, range(max(0, start - 500), start + 500))
        assert len(counter._places) <= 256
        ((_, units, canary),) = counter.drawn().counts
        assert units >= before
        before = units
    assert 256 < units < 2_500
    assert abs(canary / units - 0.3) < 0.05


def test_whom_the_bound_leaves_out_has_nothing_to_do_with_the_arm() -> None:
    """The control thins by the bucket that also draws the arm, as a counter with one hash would: it cries wolf."""

    class OneHash(AssignmentCounter):
        def add(self, salt: str, drawn: Assignment) -> bool:
            return drawn.bucket < 0.5 and super().add(salt, drawn)

    for make, alarm in ((AssignmentCounter, False), (OneHash, True)):
        counter, ratio = make("e", 256), CountedRatio()
        met(counter, table(0.2), range(20_000))
        ratio.take(counter.drawn())
        assert ratio.suspends is alarm


def test_people_who_come_often_are_no_imbalance_though_their_turns_would_be() -> None:
    """F07: the control counts turns, whose arm is the same each time, and suspends fair rollouts."""

    class Turns(AssignmentCounter):
        def add(self, salt: str, drawn: Assignment) -> bool:
            return super().add(salt, replace(drawn, unit=f"{drawn.unit} {next(turn)}"))

    alarms, turn = {AssignmentCounter: 0, Turns: 0}, itertools.count()
    for seed in range(24):
        draw = random.Random(seed)
        people = [_drawn(f"u{i}", draw.random() < 0.2) for i in range(1_200)]
        for make in alarms:
            counter, ratio = make("e"), CountedRatio()
            for i, person in enumerate(people):
                for _ in range(4):
                    counter.add("s", person)
                if i % 50 == 0:
                    ratio.take(counter.drawn())
            alarms[make] += ratio.suspends
    assert alarms[AssignmentCounter] == 0
    assert alarms[Turns] >= 3


def _drawn(unit: str, canary: bool, weight: float = 0.2) -> Assignment:
    return Assignment(ArmKind.CANARY if canary else ArmKind.STABLE, "", "", unit, weight, 0.0, weight)

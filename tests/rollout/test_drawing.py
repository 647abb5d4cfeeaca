"""rollout/drawing: who answers, and whether the draw was counted."""

from __future__ import annotations

from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.types import ArmKind, Interaction, Served
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.drawing import draw, stable_instead
from rejoinder.rollout.lease import ArmsView

STABLE, CANARY = Version("base", "b"), Version("r1", "c")


def drawn(counter: AssignmentCounter, told: list[ArmKind] | None, user: str = "u") -> Served:
    clock = ManualClock()
    now = clock.now()
    view = ArmsView(ArmsTable(policy="assist", generation=1, stable=STABLE), clock)
    view.caught_up()
    table = ArmsTable(
        policy="assist",
        generation=2,
        stable=STABLE,
        canary=CANARY,
        steps=(Step(0.5, now),),
        lease=Lease(9.0, now, now + 9),
    )
    view.receive(table, now)
    asked = Interaction(tenant="t", user_id=user, interaction_id="i")
    drew = None if told is None else told.append
    return draw(view, counter, asked, now=now, loaded={"b", "c"}, spool_has_room=True, drew=drew)


def test_a_unit_is_told_once_and_an_uncounted_draw_is_the_same_one() -> None:
    counter, told = AssignmentCounter("e"), []
    first = [drawn(counter, told, f"u{n}") for n in range(40)]
    assert [drawn(counter, told, f"u{n}") for n in range(40)] == first
    # Who is held out is no coin's.
    assert told == [served.arm for served in first if not served.holdout]
    assert set(told) == {ArmKind.STABLE, ArmKind.CANARY}
    unseen = AssignmentCounter("e")
    assert [drawn(unseen, None, f"u{n}") for n in range(40)] == first
    assert not unseen.drawn().counts


def test_stable_instead_is_no_draw_of_the_coin() -> None:
    canary = Served("assist", "r1", "c", ArmKind.CANARY, 0.5, 0.1, 2)
    table = ArmsTable(policy="assist", generation=2, stable=STABLE)
    served = stable_instead(canary, table)
    assert (served.version, served.digest, served.arm) == ("base", "b", ArmKind.STABLE)
    assert (served.propensity, served.forced, served.generation) == (1.0, True, 2)

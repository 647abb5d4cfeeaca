"""gateway/arms: a version is served once the server lists its model; until then its share gets stable, said so."""

from __future__ import annotations

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import NotFound
from rejoinder.core.types import ArmKind, Interaction
from rejoinder.gateway.arms import Drawing, Known, Listed
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView

BASE, CANARY = Version("base", "b"), Version("r1", "c")


class FakeSpool:
    full = False


class FakeMeter:
    def __init__(self) -> None:
        self.arms: list[ArmKind] = []
        self.drawn: list[ArmKind] = []
        self.instead = 0

    def assigned(self, served) -> None:
        self.arms.append(served.arm)

    def drew(self, arm: ArmKind) -> None:
        self.drawn.append(arm)

    def stable_instead(self) -> None:
        self.instead += 1


class World:
    def __init__(self, weight: float) -> None:
        clock = ManualClock()
        now = clock.now()
        lease = Lease(30.0, now, now + 30)
        table = ArmsTable("assist", 1, 1, holdout_share=0.0, stable=BASE)
        self.view = ArmsView(table, clock)
        self.view.caught_up()
        self.view.receive(
            ArmsTable(
                "assist", 1, 2, holdout_share=0, stable=BASE, canary=CANARY, steps=(Step(weight, now),), lease=lease
            ),
            now,
        )
        self.known = Known({"base": "llama", "r1": "llama-r1"})
        self.known.pin([BASE, CANARY])
        self.spool, self.meter, self.counter = FakeSpool(), FakeMeter(), AssignmentCounter("e")
        self.drawing = Drawing(self.view, self.known, self.counter, self.spool, self.meter, clock)  # type: ignore[arg-type]

    def draw(self, user: str = "ann"):
        return self.drawing.draw(Interaction(user_id=user, interaction_id="i"))


def test_a_canary_waits_for_its_model() -> None:
    world = World(1.0)
    world.known.listed(Listed(frozenset({"llama", "other"})))
    with pytest.raises(NotFound):
        world.known.load(CANARY)
    assert (world.draw().version, world.draw().forced) == ("base", True)
    world.known.listed(Listed(frozenset({"llama", "llama-r1"})))
    world.known.load(CANARY)
    served = world.draw()
    assert (served.version, served.arm, served.digest, served.forced) == ("r1", ArmKind.CANARY, "c", False)
    assert world.drawing.model_of(served) == "llama-r1"
    assert world.known.loaded == {"b", "c"}
    assert world.known.named == {"llama", "llama-r1"}
    world.known.pin([BASE])
    assert [version.version for version in world.known.all] == ["base"]
    assert world.known.named == {"llama", "llama-r1"}, "the server has it still"


def test_names_of_one_base_are_one_model() -> None:
    known = Known({})
    known.listed(Listed(frozenset({"a", "b", "c", "r"}), {"a": "/one", "b": "/one", "c": "/two"}))
    pairs = [("a", "b"), ("b", "a"), ("r", "r"), ("a", "c"), ("a", "r"), ("x", "y")]
    assert [known.same(*pair) for pair in pairs] == [True, True, True, False, False, False]


def test_draws_are_counted_once_a_unit_and_a_full_spool_gets_no_canary() -> None:
    world = World(0.5)
    world.known.listed(Listed(frozenset({"llama", "llama-r1"})))
    arms = {world.draw(f"user-{n}").arm for n in range(40) for _ in range(2)}
    assert arms == {ArmKind.STABLE, ArmKind.CANARY}
    assert len(world.meter.arms) == 80
    ((weight, units, canary),) = world.counter.drawn().counts
    assert (weight, units, len(world.meter.drawn)) == (0.5, 40, 40)
    assert 0 < canary < 40
    world.spool.full = True
    assert {world.draw(f"user-{n}").arm for n in range(40)} == {ArmKind.STABLE}


def test_what_turned_out_not_to_be_there_is_stable_and_says_so() -> None:
    world = World(1.0)
    world.known.listed(Listed(frozenset({"llama", "llama-r1"})))
    served = world.drawing.stable_instead(world.draw())
    assert (served.version, served.arm, served.propensity, served.forced) == ("base", ArmKind.STABLE, 1.0, True)
    assert world.meter.instead == 1

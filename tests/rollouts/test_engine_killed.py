"""Killed at any call, before or after its effect, an engine goes on to the same decisions, bit for bit (F11)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.arms import ArmsTable
from rejoinder.rollouts.engine import Engine

from tests.rollouts.world import Taste, World

STEPS = [
    {"weight": 0.3, "duration_s": 3.0, "deadline_s": 60.0, "on_inconclusive": "advance"},
    {"weight": 0.5, "duration_s": 3.0, "deadline_s": 60.0},
]
PLAN = {"steps": STEPS, "watch_s": 5.0, "min_units": 10, "margin": 0.3, "vetoes": []}
FATES = {"harmless": Taste(), "harmful": Taste(pleased=0.3)}


class Killed(BaseException):
    """The process is gone."""


class Reaper:
    """Counts calls and kills at chosen ones. owns: the count. after: the effect is there when it dies."""

    def __init__(self, kills: dict[int, bool]) -> None:
        self.kills, self.calls, self.struck = kills, 0, 0

    def around(self, thing: Any, *names: str) -> Any:
        return Mortal(self, thing, names)

    def call(self, work: Any, *args: Any, **named: Any) -> Any:
        self.calls += 1
        after = self.kills.get(self.calls)
        if after is False:
            self.struck += 1
            raise Killed
        done = work(*args, **named)
        if after:
            self.struck += 1
            raise Killed
        return done


class Mortal:
    """A port whose named calls may be the last."""

    def __init__(self, reaper: Reaper, thing: Any, names: tuple[str, ...]) -> None:
        self._reaper, self._thing, self._names = reaper, thing, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in self._names:
            return found
        return lambda *args, **named: self._reaper.call(found, *args, **named)


class Lives:
    """Engines one after the other over one world. owns: the present one."""

    def __init__(self, world: World, reaper: Reaper) -> None:
        self.world, self.reaper, self.count = world, reaper, 0
        self.world.artefacts.store = reaper.around(world.store, "create")
        self.world.replicas = {n: reaper.around(r, "arms", "likelihood") for n, r in world.replicas.items()}
        self.engine = self.born()

    def born(self) -> Engine:
        self.count += 1
        reaper, world = self.reaper, self.world
        ports = world.ports(owner=reaper.around(world.owner, "begin_epoch", "commit_step"))
        memory = reaper.around(ports.memory, "write")
        ledger = reaper.around(ports.ledger, "judged")
        return world.engine(ports=type(ports)(ports.artefacts, ports.topic, ledger, ports.replicas, memory), **PLAN)

    def do(self, what: str) -> Any:
        """Again and again, at the same moment, until somebody lives through it."""
        while True:
            try:
                return self.engine.start("r42") if what == "start" else self.engine.tick()
            except Killed:
                self.world.close()
                self.engine = self.born()


def content(table: ArmsTable) -> tuple[Any, ...]:
    """What a table says to users, whoever wrote it."""
    return (table.stable, table.canary, table.steps, table.salts, table.frozen)


def fate(root: Path, how: str, kills: dict[int, bool]) -> tuple[Any, int, int]:
    """What a rollout has come to, how many calls it took, and how many kills struck.

    The served record holds the digest of every figure that the promotion rests on, so equal records are equal evidence.
    A kill between an act and its memory lets the next look come a moment sooner: after a promotion, where only the
    watch's length is to be had, times and later evidence are left out.
    """
    world = World(root, tastes={"r41": Taste(), "r42": FATES[how]})
    lives = Lives(world, Reaper(kills))
    lives.do("start")
    moved: list[Any] = []
    for _ in range(60):
        world.meet(12)
        world.clock.advance(1.0)
        lives.do("tick")
        status = lives.engine.seen().trial.status
        at = (status.phase, status.step, status.steps)
        if not moved or moved[-1] != at:
            moved.append(at)
        if status.closed:
            break
    trial = lives.engine.seen().trial
    said = (world.table.stable, world.table.canary, world.served, world.store.names("rolled_back/assist"))
    tables: list[Any] = []
    for table in sorted(world.tables(), key=lambda t: (t.order, t.written_at)):
        if not tables or tables[-1] != content(table):
            tables.append(content(table))
    counted = frozenset(lives.engine._ports.memory.counted)
    evidence = (trial.status, trial.evidence.as_dict(), trial.reading, counted)
    world.close()
    known = (moved, said, tables, None if status.phase == "promoted" else evidence)
    return known, lives.reaper.calls, lives.reaper.struck


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory) -> dict[str, Any]:
    return {how: fate(tmp_path_factory.mktemp(how), how, {}) for how in FATES}


def test_the_two_fates_differ(unharmed) -> None:
    assert unharmed["harmless"][0][0][-1][0] == "promoted"
    assert unharmed["harmful"][0][0][-1][0] == "aborted"


def check(unharmed: dict[str, Any], root: Path, how: str, kills: dict[int, bool]) -> None:
    found, _, struck = fate(root, how, kills)
    assert struck == len(kills), kills
    assert found == unharmed[how][0], kills


@pytest.mark.parametrize("seed", range(16))
def test_kills_at_any_calls_change_no_decision(unharmed, tmp_path, seed) -> None:
    draw = random.Random(seed)
    how = draw.choice(sorted(FATES))
    struck = draw.sample(range(1, unharmed[how][1] + 1), draw.randint(1, 6))
    check(unharmed, tmp_path, how, {call: draw.random() < 0.5 for call in struck})


@pytest.mark.proof
@pytest.mark.parametrize("how", sorted(FATES))
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_every_call_changes_no_decision(unharmed, tmp_path, how, after) -> None:
    for call in range(1, unharmed[how][1] + 1):
        check(unharmed, tmp_path / str(call), how, {call: after})


def test_an_engine_that_remembers_before_it_acts_would_lose_the_act(unharmed, tmp_path, monkeypatch) -> None:
    """The control: with the order turned round the same kills leave the canary in the table."""

    def forgetful(self, trial, decision, now, accepted):
        acts, self._acts = self._acts, type("None", (), {"do": lambda self, action, now: None})()
        try:
            right(self, trial, decision, now, accepted)
        finally:
            self._acts = acts
        for action in decision.actions:
            acts.do(action, now)

    right = Engine._act
    monkeypatch.setattr(Engine, "_act", forgetful)
    expected, calls, _ = unharmed["harmful"]
    found = [fate(tmp_path / str(n), "harmful", {n: False})[0] for n in range(calls - 3, calls + 1)]
    assert any(each[1] != expected[1] for each in found)

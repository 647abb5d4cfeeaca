"""cli/demo/world: what a demonstration claims of losses, of the holdout and of a rollout's course, as plain values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rejoinder.cli.demo.world import BEHIND, Course, Door, Population, World, held_out, steps_of, unread
from rejoinder.clients.rollouts import ArmFigures, Rollout, Verdict
from rejoinder.core.arms import Salts
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.types import Candidate, Message, Preference, Role
from rejoinder.ledger.reading.windows import Leaving
from rejoinder.rollouts.settings import PolicyTheme
from rejoinder.rounds.pairs.split import side_of
from rejoinder.rounds.plan import HOLDOUT_SHARE
from rejoinder.simulate import phrases
from rejoinder.simulate.recorder import Recorder
from rejoinder.simulate.tastes import people


def ended(folder: Path, acknowledged: Sequence[str], in_doubt: Sequence[str], stored: Sequence[str]) -> dict[str, int]:
    """Parity of a world whose services have stopped; ids that begin with f are follow-ups."""
    with Recorder(folder / "acknowledged.txt") as recorder:
        recorder.sent([*acknowledged, *in_doubt])
        recorder.acknowledged(list(acknowledged))
    with sqlite3.connect(folder / "ledger.db") as ledger:
        ledger.execute("create table interactions (interaction_id text)")
        ledger.execute("create table feedback (event_id text)")
        for id in stored:
            ledger.execute(f"insert into {'feedback' if id.startswith('f') else 'interactions'} values (?)", (id,))
    who = Population((), phrases.load(), 4, 0)
    return World(folder, "assist", who).parity()


def test_where_everything_acknowledged_is_stored_once_nothing_is_lost_or_twice_there(tmp_path: Path) -> None:
    """F06."""
    found = ended(tmp_path, ["i1", "i2", "f1"], [], ["i1", "i2", "f1"])
    assert found == {"acknowledged": 3, "stored": 3, "duplicated": 0, "lost": 0, "unacked_stored": 0}


def test_an_acknowledged_id_that_is_not_stored_is_lost(tmp_path: Path) -> None:
    """F06: accepted, never stored."""
    found = ended(tmp_path, ["i1", "i2", "f1", "f2"], [], ["i1", "f1", "f3"])
    assert found["lost"] == 2
    assert (found["acknowledged"], found["stored"], found["duplicated"]) == (4, 3, 0)


def test_an_id_that_is_stored_twice_is_duplicated_and_hides_no_loss(tmp_path: Path) -> None:
    """U01: as many rows as acknowledgements, and still one lost."""
    found = ended(tmp_path, ["i1", "i2", "f1"], [], ["i1", "i1", "f1"])
    assert found == {"acknowledged": 3, "stored": 3, "duplicated": 1, "lost": 1, "unacked_stored": 0}


def test_what_was_sent_and_never_acknowledged_may_be_stored_and_is_counted(tmp_path: Path) -> None:
    found = ended(tmp_path, ["i1"], ["i2", "i3"], ["i1", "i2"])
    assert found == {"acknowledged": 1, "stored": 2, "duplicated": 0, "lost": 0, "unacked_stored": 1}


def a_pair(user: str) -> Preference:
    texts = (Candidate("yes"), Candidate("no"))
    return Preference(
        id=f"p-{user}", prompt=(Message(Role.USER, "q"),), candidates=texts, tenant="default", user_id=user
    )


def test_the_demonstrations_holdout_is_the_one_that_rounds_and_rollouts_leave_out() -> None:
    """U15, F05: worked out here from the salts; the round's split, the ledger's windows and the engine must agree."""
    users = [person.id for person in people(6000, "person", np.random.default_rng(0))]
    mine = {user for user in users if held_out(user)}
    assert len(mine) / len(users) == pytest.approx(HOLDOUT_SHARE, abs=0.01)
    assert mine == {user for user in users if side_of(a_pair(user), Salts(), HOLDOUT_SHARE) == "holdout"}
    leaving = Leaving(Salts().holdout, HOLDOUT_SHARE)
    assert mine == {user for user in users if leaving.held_out("default", user, "some conversation")}
    assert PolicyTheme().holdout_share == HOLDOUT_SHARE
    assert mine != {user for user in users if held_out(user, share=0.04)}, "control: another share is another holdout"


def test_a_rollouts_course_is_its_points_as_figures_and_its_end_the_last_of_them() -> None:
    arms = {"stable": ArmFigures(100, 40, 0.4, 0.55), "canary": ArmFigures(30, 12, 0.5, 0.35)}
    judging = Rollout(
        phase="canary", weight=0.2, difference=0.1, low=-0.2, high=0.4, judged_canary=12, judged_stable=40, **arms
    )
    over = Rollout(phase="promoted", weight=0.5, verdict=Verdict.BETTER, judged_canary=90, judged_stable=110)
    course = Course([(0.123, Rollout(phase="loading")), (4.567, judging), (9.0, over)])
    assert course.last is over
    begun, middle, end = steps_of(course)
    assert (begun["judged"], begun["reply_stable"], begun["reply_canary"]) == (0, None, None)
    assert middle == {
        "seconds": 4.57,
        "judged": 52,
        "judged_canary": 12,
        "difference": 0.1,
        "low": -0.2,
        "high": 0.4,
        "reply_stable": 0.55,
        "reply_canary": 0.35,
        "weight": 0.2,
    }
    assert (end["judged"], end["weight"]) == (200, 0.5)


class Seen:
    """A rollout's phases and the log's counts, one of each a look. owns: what is left of them."""

    def __init__(self, phases: Sequence[str], left: Sequence[int]) -> None:
        self._phases, self._left = list(phases), list(left)

    def look(self) -> Rollout:
        return Rollout(phase=self._phases.pop(0))

    def cut(self) -> str:
        left = self._left.pop(0)
        return json.dumps({"ends": {"feedback": {"0": 700, "1": 300 + left}, "signals": {"0": 1000}}})

    @property
    def looks_left(self) -> int:
        return len(self._phases)


async def test_people_are_let_in_while_a_rollout_measures_and_is_not_behind() -> None:
    seen = Seen(["loading", "canary", "canary", "promoted"], [0, BEHIND + 1, BEHIND])
    door = Door(lambda: unread(seen), lambda: seen.look().phase)
    assert await door.let_in()
    # Not while the version was being loaded, nor while more was said than could be read.
    assert seen.looks_left == 1


async def test_nobody_comes_any_more_once_a_rollout_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.cli.demo.world.LOOK_S", 0.0)
    seen = Seen(["canary", "paused", "aborted"], [0, 0, 0])
    door = Door(lambda: unread(seen), lambda: seen.look().phase)
    assert [await door.let_in() for _ in range(3)] == [True, True, False]


async def test_people_wait_for_a_reader_that_is_gone_no_longer_than_they_have_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rejoinder.cli.demo.world.PATIENCE_S", 0.05)
    with pytest.raises(FailedPrecondition, match="not read in time"):
        await Door(lambda: BEHIND + 1).let_in()


def test_what_was_said_and_not_read_is_counted_over_all_partitions() -> None:
    assert unread(Seen([], [7])) == 7
    assert unread(Seen([], [0])) == 0

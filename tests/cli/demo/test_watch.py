"""cli/demo/watch: a rollout is looked at while people talk, in order, and a failed look is no end."""

from __future__ import annotations

import threading

import pytest
from rejoinder.cli.demo.watch import Watch
from rejoinder.clients.rollouts import Rollout
from rejoinder.core.errors import Unavailable


class Engine:
    """Judges one more user at every look. owns: how often it was asked. away: the looks that find nobody."""

    def __init__(self, away: tuple[int, ...] = ()) -> None:
        self.asked = 0
        self.inside = 0
        self.enough = threading.Event()
        self._away = away

    def get(self) -> Rollout:
        self.inside += 1
        assert self.inside == 1, "one look at a time"
        self.asked += 1
        number = self.asked
        self.inside -= 1
        if number >= 8:
            self.enough.set()
        if number in self._away:
            raise Unavailable("the engine is away")
        return Rollout(phase="canary", judged_canary=number)


def test_while_nobody_asks_the_course_is_watched() -> None:
    engine = Engine()
    with Watch(engine.get, every_s=0.002) as watch:
        assert engine.enough.wait(60)
    assert len(watch.points) >= 8
    assert [seen.judged_canary for _, seen in watch.points] == list(range(1, len(watch.points) + 1))
    times = [seconds for seconds, _ in watch.points]
    assert times == sorted(times)


def test_without_a_thread_only_ones_own_looks_are_seen() -> None:
    """Control, and what the course was before: a look before and one after the talk."""
    engine = Engine()
    with Watch(engine.get, every_s=3600) as watch:
        watch.look()
        last = watch.look()
    assert [seen for _, seen in watch.points][-1] is last
    assert len(watch.points) == 2


def test_a_look_that_fails_in_the_thread_is_left_out_and_ones_own_is_raised() -> None:
    engine = Engine(away=(1, 3))
    with Watch(engine.get, every_s=3600) as watch:
        with pytest.raises(Unavailable):
            watch.look()
    engine = Engine(away=(1, 3))
    with Watch(engine.get, every_s=0.002) as watch:
        assert engine.enough.wait(60)
    assert [seen.judged_canary for _, seen in watch.points][:3] == [2, 4, 5]


def test_nothing_looks_any_more_once_it_is_left() -> None:
    engine = Engine()
    with Watch(engine.get, every_s=0.002):
        assert engine.enough.wait(60)
    asked = engine.asked
    assert "watch" not in {thread.name for thread in threading.enumerate()}
    assert engine.asked == asked

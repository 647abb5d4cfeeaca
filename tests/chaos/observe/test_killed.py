"""The observer killed at seeded moments under traffic: every record of the topic is one event on our log, by id."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rejoinder.clients.connection import Connection
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.headers import event_of

from tests.brokers import shared
from tests.chaos.harness import Killer, Traffic, wait_until
from tests.system.logs import everything
from tests.system.observe import world
from tests.system.observe.world import FLAT, Ingest, Theirs, caught_up, position, settings, talk

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

KILLS = 4
CALLERS = 2
RATED = {
    "form": "reaction",
    "interaction": "about",
    "id": "id",
    "reactions": [{"kind": "rating", "number": "score", "scale": [1, 5]}],
}


class Application:
    """Writes conversations whose turns lie on any partition, and ratings of their answers. owns: its counts; what it
    was told to have written is what must be found."""

    def __init__(self, theirs: Theirs, chat: str, ratings: str) -> None:
        self._theirs = theirs
        self._chat, self._ratings = chat, ratings
        self._rng = random.Random(11)
        self._lock = threading.Lock()
        self.answers: set[str] = set()
        self.follow_ups = 0
        self.ratings: set[str] = set()
        self.records = Counter[str]()

    def say(self, caller: int, stop: threading.Event) -> None:
        """One conversation of two to six turns, each sent by itself, and a rating for some answers."""
        with self._lock:
            name, turns = f"{caller}.{self.records['talks']}", 2 * self._rng.randint(1, 3)
            partitions = [self._rng.randrange(3) for _ in range(turns)]
            rated = self._rng.random() < 0.5
            self.records["talks"] += 1
        for turn, partition in zip(talk(name, turns, numbered=True), partitions, strict=True):
            self._theirs.send(self._chat, [turn], partition)
        if rated:
            self._theirs.send(self._ratings, [{"id": f"r{name}", "about": f"{name}-2", "score": 4}])
        with self._lock:
            self.answers |= {f"{name}-{n}" for n in range(2, turns + 1, 2)}
            self.follow_ups += turns // 2 - 1
            self.records["chat"] += turns
            if rated:
                self.ratings.add(f"{name}-2")
                self.records["ratings"] += 1
        stop.wait(0.2)


class Found:
    """Our log, read from outside the service. owns: the follower."""

    def __init__(self, ingest: Ingest) -> None:
        self._owner = LogOwnerClient(Connection(ingest.address))
        self._log = FollowerLog(str(ingest.log_path), self._owner)

    def count(self) -> int:
        return sum(self._log.end_offsets("interactions").values())

    def events(self, topic: str) -> list[Any]:
        return [event_of(record) for record in everything(self._log, topic)]

    def close(self) -> None:
        self._log.close()
        self._owner.close()


@pytest.fixture
def theirs() -> Iterator[Theirs]:
    producer = Theirs(shared())
    yield producer
    producer.close()


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    service = Ingest(tmp_path)
    yield service
    service.process.close()


def lost_and_doubled(application: Application, found: Found) -> tuple[int, int]:
    answers = Counter(event.interaction_id for event in found.events("interactions"))
    feedback = Counter((event.kind_name, event.event_id) for event in found.events("feedback"))
    followed = {(e.interaction_id, e.kind.text) for e in found.events("feedback") if e.kind_name == "follow_up"}
    rated = {event.interaction_id for event in found.events("feedback") if event.kind_name == "rating"}
    lost = len(application.answers - set(answers)) + application.follow_ups - len(followed)
    lost += len(application.ratings - rated)
    doubled = sum(n - 1 for n in answers.values()) + sum(n - 1 for n in feedback.values())
    doubled += len(feedback) - len(followed) - len(rated)
    return lost, doubled


def test_killed_again_and_again_nothing_is_lost_or_doubled(tmp_path: Path, theirs: Theirs, ingest: Ingest) -> None:
    """F06, F07: kill -9 at any point. No history is another after a restart either: that would be a conflict under
    one id, and a dead letter."""
    chat, ratings = (world.make(shared(), world.topic_name(what)) for what in ("chat", "ratings"))
    application, found = Application(theirs, chat, ratings), Found(ingest)
    of = settings(shared(), ingest.address, {chat: FLAT, ratings: RATED}, read={"batch": 100})
    process = world.observer_of(tmp_path, of)
    try:
        process.start()
        with Traffic(CALLERS, application.say) as traffic:
            killer = Killer(process, found.count, traffic, seed=5)
            moments = list(killer.run(KILLS))
            traffic.check()
        wait_until(lambda: caught_up(shared(), of["read"]["group"], chat, ratings), "every record")
        assert process.terminate() == 0
        assert lost_and_doubled(application, found) == (0, 0)
        assert found.events("deadletters") == []
        histories = {e.interaction_id: len(e.messages) for e in found.events("interactions")}
        assert all(length == int(name.split("-")[1]) - 1 for name, length in histories.items())
        print(f"{len(moments)} kills, {sum(application.records.values())} records, {len(histories)} answers")
    finally:
        process.close()
        found.close()


def test_an_observer_that_commits_before_the_log_has_it_is_found_out(
    tmp_path: Path, theirs: Theirs, ingest: Ingest
) -> None:
    chat, ratings = (world.make(shared(), world.topic_name(what)) for what in ("chat", "ratings"))
    application, found = Application(theirs, chat, ratings), Found(ingest)
    of = settings(shared(), ingest.address, {chat: FLAT, ratings: RATED})
    process = world.observer_of(tmp_path, of)
    process._command[:3] = [sys.executable, "-m", "tests.chaos.observe.hasty_observer"]
    try:
        ingest.process.kill()
        for _ in range(5):
            application.say(0, threading.Event())
        process.start()
        wait_until(
            lambda: position(shared(), of["read"]["group"], chat) == application.records["chat"], "a hasty commit"
        )
        process.kill()
        ingest.process.start()
        process.start()
        theirs.send(chat, talk("after", 2, numbered=True))
        wait_until(lambda: found.count() > 0, "what came after")
        lost, doubled = lost_and_doubled(application, found)
        assert lost > 0
        assert doubled == 0
    finally:
        process.close()
        found.close()

"""kill -9 of the ingest process under traffic: nothing acknowledged is lost or counts twice (F06, F07, U01, U02)."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rejoinder.clients import Connection, FeedbackClient, RecordResult
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Unavailable
from rejoinder.core.types import Click, Feedback, FollowUp, Interaction, Message, Role
from rejoinder.stream.headers import event_of
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

from tests.chaos.harness import Killer, Process, Recorder, Traffic, wait_until
from tests.system.logs import everything

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

CALLERS = 6
#: Callers from this one on do not repeat: what they were not told may be stored once, or not at all.
IMPATIENT = 4
RIGHT = ("-m", "rejoinder.feedback")
WRONG = str(Path(__file__).with_name("wrong_servers.py"))


@dataclass(frozen=True)
class Outcome:
    """lost = |acked - stored|; twice = ids stored more than once; unacked_stored is allowed, and reported.

    repeated: events that a caller sent again and heard were there: kills that fell between commit and answer.
    """

    kills: int
    acked: int
    stored: int
    lost: int
    twice: int
    unacked_stored: int
    repeated: int


class Callers:
    """What the callers do: batches of feedback and interactions under ids of their own. owns: one client each."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        patient = Connection(f"127.0.0.1:{port}", deadline_s=100.0, tries=10_000, max_backoff_s=0.5)
        impatient = replace(patient, tries=1)
        self._clients = [FeedbackClient(patient if n < IMPATIENT else impatient) for n in range(CALLERS)]
        self._numbers = [itertools.count() for _ in range(CALLERS)]
        self._recorder = recorder
        self._lock = threading.Lock()
        self.duplicates = 0

    def call(self, caller: int, stop: threading.Event) -> None:
        number = next(self._numbers[caller])
        ids = [f"{caller}-{number}-{item}" for item in range(1 + number % 7)]
        try:
            results = self._send(self._clients[caller], number, ids)
        except Unavailable:
            if caller < IMPATIENT:
                raise
            stop.wait(0.02)
            return
        # On disk outside the service before the next call: this is what the service has promised to keep.
        self._recorder.acknowledged([result.event_id for result in results if result.recorded])
        with self._lock:
            self.duplicates += sum(result.outcome == "DUPLICATE" for result in results)

    def _send(self, client: FeedbackClient, number: int, ids: list[str]) -> list[RecordResult]:
        if number % 2:
            return client.record_feedback([_feedback(id_, number) for id_ in ids])
        return client.record_interactions([_interaction(id_) for id_ in ids])

    def close(self) -> None:
        for client in self._clients:
            client.close()


def _feedback(id_: str, number: int) -> Feedback:
    kind = FollowUp("no, in Celsius please") if number % 4 == 1 else Click("candidate", 1)
    return Feedback(event_id=id_, interaction_id=f"i-{id_}", user_id=f"u-{number % 50}", kind=kind)


def _interaction(id_: str) -> Interaction:
    return Interaction(event_id=id_, messages=(Message(Role.USER, "How warm is it?"),), response="It is 70 °F.")


def trial(folder: Path, command: tuple[str, ...], kills: int, seed: int, least: int = 0) -> Outcome:
    """Traffic and kills, then the log is read by another process than the one that wrote it: this one.

    least: what is acknowledged at the end.
    """
    path = folder / "log.db"
    process = Process([sys.executable, *command], folder, "feedback", {"LOG__PATH": str(path)})
    recorder = Recorder(folder / "acked")
    try:
        process.start()
        callers = Callers(process.port, recorder)
        with Traffic(CALLERS, callers.call) as traffic:
            wait_until(lambda: recorder.count > 100, "traffic")
            done = list(Killer(process, lambda: recorder.count, traffic, seed).run(kills))
            wait_until(lambda: recorder.count >= least, "enough traffic")
        traffic.check()
        callers.close()
        assert process.terminate() == 0
    finally:
        process.close()
        recorder.close()
    acked, stored = set(recorder.read()), Counter(_stored(path))
    return Outcome(
        kills=len(done),
        acked=len(acked),
        stored=sum(stored.values()),
        lost=len(acked - stored.keys()),
        twice=sum(count > 1 for count in stored.values()),
        unacked_stored=len(stored.keys() - acked),
        repeated=callers.duplicates,
    )


def _stored(path: Path) -> Iterator[str]:
    log = SqliteLog(str(path), LogSettings(), SystemClock())
    try:
        for topic in ("feedback", "interactions"):
            yield from (event_of(record).event_id for record in everything(log, topic))
    finally:
        log.close()


def test_ten_kills_lose_nothing_acknowledged_and_store_nothing_twice(tmp_path: Path) -> None:
    outcome = trial(tmp_path, RIGHT, kills=10, seed=1, least=1001)
    print(outcome)
    assert outcome.kills == 10
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert outcome.stored == outcome.acked + outcome.unacked_stored
    assert outcome.acked > 1000


def test_a_server_that_acknowledges_before_the_commit_is_found_to_lose(tmp_path: Path) -> None:
    outcome = trial(tmp_path, (WRONG, "early"), kills=3, seed=2)
    print(outcome)
    assert outcome.lost > 0


def test_a_server_that_knows_no_second_copies_is_found_to_store_twice(tmp_path: Path) -> None:
    outcome = trial(tmp_path, (WRONG, "forgetful", "0.5"), kills=3, seed=3)
    print(outcome)
    assert outcome.twice > 0
    assert outcome.lost == 0

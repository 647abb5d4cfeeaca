"""kill -9 of rerank processes under traffic: a ranking that a caller saw is in the log once (F06, F07, U14)."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.cli.supervisor import Plan
from rejoinder.clients import Connection
from rejoinder.clients.rerank import RerankAsk, RerankClient
from rejoinder.core.errors import Unavailable
from rejoinder.core.types import Interaction, RankedCandidate
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.headers import event_of

from tests.chaos.harness import Process, Recorder, Tended, Traffic, kill_in_turn, spooled, wait_until
from tests.system.logs import everything
from tests.system.models import built

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

#: Replicas share one folder of spools, as replicas on one volume do: each adopts what a dead one left.
REPLICAS = 3
CALLERS = 6
FEEDBACK = ("-m", "rejoinder.feedback")
#: So late that a spool waits for an answer at almost every moment, however long a busy machine keeps its callers.
FORGETFUL = (str(Path(__file__).parent.with_name("ingest") / "wrong_servers.py"), "forgetful", "2.0")
CANDIDATES = (
    ("bread", "Mix flour, water, salt and yeast, and bake the loaf for forty minutes."),
    ("cat", "My cat sleeps on the warm laptop."),
    ("market", "The stock market fell two percent on Monday."),
)


@dataclass(frozen=True)
class Outcome:
    """lost = |seen - stored|; twice: attempts stored more than once; other: stored otherwise than it was shown.

    unseen: attempts in the log whose callers saw no answer, for a kill.
    """

    kills: int
    seen: int
    stored: int
    lost: int
    twice: int
    other: int
    unseen: int


class Callers:
    """Callers who ask again whatever happens, each at one replica. owns: one client each."""

    def __init__(self, addresses: dict[str, str], recorder: Recorder) -> None:
        names = list(addresses)
        self._names = [names[number % len(names)] for number in range(CALLERS)]
        self._clients = [RerankClient(Connection(addresses[name], tries=1)) for name in self._names]
        self._recorder = recorder
        self._lock = threading.Lock()
        self.seen = Counter[str]()
        self.shown: dict[str, tuple[RankedCandidate, ...]] = {}

    def call(self, caller: int, stop: threading.Event) -> None:
        ask = RerankAsk("How do I bake bread?", CANDIDATES, user_id=f"u{caller}", temperature=0.3 * (caller % 2))
        try:
            slate = self._clients[caller].rerank(ask)
        except Unavailable:
            stop.wait(0.02)
            return
        # On disk outside the service before the next call: this is what the service has promised to keep.
        self._recorder.acknowledged([slate.attempt_id])
        with self._lock:
            self.shown[slate.attempt_id] = slate.ranked
            self.seen[self._names[caller]] += 1

    def close(self) -> None:
        for client in self._clients:
            client.close()


def plan(name: str, module: str, owner: str, spool: Path) -> Plan:
    encoder = {"folder": str(built() / "minilm"), "threads": 1}
    record = {"feedback": owner, "spool": str(spool)}
    return Plan(name, module, {"rankers": ["cosine"], "encoder": encoder, "record": record})


def trial(
    folder: Path,
    rounds: int,
    seed: int,
    module: str = "rejoinder.rerank",
    feedback: Sequence[str] = FEEDBACK,
    replicas: int = REPLICAS,
    least: int = 0,
) -> Outcome:
    """Traffic and kills; then the last processes drain and the log is read beside its owner. least: rankings seen."""
    log, spool = folder / "log.db", folder / "spool"
    owner = Process([sys.executable, *feedback], folder, "feedback", {"LOG__PATH": str(log)})
    recorder = Recorder(folder / "seen")
    try:
        owner.start()
        address, names = f"127.0.0.1:{owner.port}", [f"rerank-{number}" for number in range(replicas)]
        tended = Tended(folder / "run", [plan(name, module, address, spool) for name in names])
        try:
            callers = Callers(tended.addresses, recorder)
            with Traffic(CALLERS, callers.call) as traffic:
                kills = kill_in_turn(tended, names, rounds, callers.seen.__getitem__, traffic, seed)
                wait_until(lambda: recorder.count >= least, "enough traffic")
            traffic.check()
            callers.close()
            wait_until(lambda: not spooled(spool), "the spools' way into the log")
        finally:
            tended.close()
        stored = interactions(log)
    finally:
        owner.close()
        recorder.close()
    seen, counted = set(recorder.read()), Counter(i.attempt_id for i in stored)
    return Outcome(
        kills=kills,
        seen=len(seen),
        stored=sum(counted.values()),
        lost=len(seen - counted.keys()),
        twice=sum(count > 1 for count in counted.values()),
        other=sum(i.ranking.candidates != callers.shown.get(i.attempt_id, i.ranking.candidates) for i in stored),
        unseen=len(counted.keys() - seen),
    )


def interactions(path: Path) -> list[Interaction]:
    log = FollowerLog(str(path), None)  # type: ignore[arg-type]
    try:
        return [event_of(record) for record in everything(log, "interactions")]
    finally:
        log.close()


def test_twelve_kills_lose_no_ranking_that_a_caller_saw_and_store_none_twice(tmp_path: Path) -> None:
    outcome = trial(tmp_path, rounds=4, seed=1, least=201)
    print(outcome)
    assert outcome.kills == 12
    assert (outcome.lost, outcome.twice, outcome.other) == (0, 0, 0)
    assert outcome.stored == outcome.seen + outcome.unseen
    assert outcome.seen > 200


def test_a_service_that_shows_before_the_record_is_on_disk_is_found_to_lose(tmp_path: Path) -> None:
    """The control: the same kills, and a spool that says it has what it has not."""
    outcome = trial(tmp_path, rounds=2, seed=2, module="tests.chaos.rerank.early_rerank", replicas=1)
    print(outcome)
    assert outcome.lost > 0


# In the short form ingest has the control of this kind.
@pytest.mark.proof
def test_a_log_that_knows_no_second_copies_is_found_to_hold_some_twice(tmp_path: Path) -> None:
    """The control: what a killed process had sent and not yet struck off is sent again by the next."""
    outcome = trial(tmp_path, rounds=4, seed=3, feedback=FORGETFUL, replicas=1)
    print(outcome)
    assert outcome.twice > 0
    assert outcome.lost == 0

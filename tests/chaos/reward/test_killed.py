"""kill -9 of reward processes under traffic: callers get the same scores as ever, and nobody waits beyond its deadline.

The service keeps nothing, so there is nothing to lose or to double: a call that a kill cut off is made again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.cli.supervisor import Plan
from rejoinder.clients import Connection, RewardClient
from rejoinder.core.errors import DeadlineExceeded, QueueFull, Unavailable
from rejoinder.core.types import Message, Role

from tests.chaos.harness import Tended, Traffic, kill_in_turn, wait_until
from tests.ownclock import Standstill
from tests.system.models import built

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

REPLICAS = 3
CALLERS = 6
#: Callers below this one wait as long as it takes; the others give up soon.
PATIENT = 3
PATIENT_S, SHORT_S = 30.0, 0.4
#: What a busy machine may add between a deadline and the caller's next line, beside the time in which this process
#: itself stood still.
LATE_S = 1.0
ASKED = [Message(Role.USER, "How do I boil an egg?")]
ANSWERS = (
    ["Put it in boiling water for seven minutes."],
    ["I don't know.", "Seven minutes in boiling water, then cool it under cold water and peel it."],
    ["word " * count for count in (1, 5, 25)],
)


@dataclass(frozen=True)
class Outcome:
    """answers: of patient callers, each of whose calls must succeed. unlike: scores further than 1e-4 from those of a
    process that nobody killed. gave_up: calls of the others that ended without an answer. late: calls that ended after
    their deadline."""

    kills: int
    answers: int
    unlike: int
    gave_up: int
    late: int


class Callers:
    """Callers, each at one replica. owns: one client each."""

    def __init__(self, addresses: dict[str, str]) -> None:
        names = list(addresses)
        self._names = [names[number % len(names)] for number in range(CALLERS)]
        patient, short = (
            [
                Connection(address, deadline_s=deadline_s, tries=10_000, max_backoff_s=0.3)
                for address in addresses.values()
            ]
            for deadline_s in (PATIENT_S, SHORT_S)
        )
        self._clients = [
            RewardClient((patient if number < PATIENT else short)[number % len(names)]) for number in range(CALLERS)
        ]
        self._lock = threading.Lock()
        self.answers, self.gave_up = Counter[str](), 0
        self.scores: list[tuple[int, tuple[float, ...]]] = []
        self.calls: list[tuple[float, float, float]] = []

    def undisturbed(self) -> list[tuple[float, ...]]:
        """What a process that nobody has killed answers."""
        return [self._clients[0].score(ASKED, answers).scores for answers in ANSWERS]

    def call(self, caller: int, stop: threading.Event) -> None:
        asked = (caller + len(self.scores)) % len(ANSWERS)
        began = time.monotonic()
        try:
            scores = self._clients[caller].score(ASKED, ANSWERS[asked]).scores
        # A process that has just come back may see that it cannot answer by the deadline, and say so.
        except (Unavailable, DeadlineExceeded, QueueFull):
            # A patient caller's call is never given up: the traffic ends on this error.
            if caller < PATIENT:
                raise
            scores = ()
        ended, patience = time.monotonic(), PATIENT_S if caller < PATIENT else SHORT_S
        with self._lock:
            self.calls.append((began, ended, patience))
            if scores:
                self.scores.append((asked, scores))
            self.gave_up += not scores
            self.answers[self._names[caller]] += bool(scores) and caller < PATIENT

    def late(self, stood: Standstill) -> int:
        """Calls that ended after their deadline."""
        return sum(e - b - stood.within(b, e) > patience + LATE_S for b, e, patience in self.calls)

    def close(self) -> None:
        for client in self._clients:
            client.close()


def trial(
    folder: Path,
    rounds: int,
    seed: int,
    module: str = "rejoinder.reward",
    replicas: int = REPLICAS,
    least: int = 0,
) -> Outcome:
    """least: answers of patient callers."""
    settings = {"model": {"folder": str(built() / "bt-v1"), "threads": 1}}
    names = [f"reward-{number}" for number in range(replicas)]
    tended = Tended(folder / "run", [Plan(name, module, settings) for name in names])
    try:
        callers = Callers(tended.addresses)
        expected = callers.undisturbed()
        with Standstill() as stood, Traffic(CALLERS, callers.call) as traffic:
            kills = kill_in_turn(tended, names, rounds, callers.answers.__getitem__, traffic, seed)
            wait_until(lambda: sum(callers.answers.values()) >= least, "enough traffic")
        traffic.check()
        callers.close()
    finally:
        tended.close()
    return Outcome(
        kills=kills,
        answers=sum(callers.answers.values()),
        unlike=sum(scores != pytest.approx(expected[asked], abs=1e-4) for asked, scores in callers.scores),
        gave_up=callers.gave_up,
        late=callers.late(stood),
    )


def test_after_each_of_twelve_kills_callers_get_the_same_scores_by_themselves(tmp_path: Path) -> None:
    outcome = trial(tmp_path, rounds=4, seed=1, least=101)
    print(outcome)
    assert outcome.kills == 12
    assert outcome.unlike == 0
    assert outcome.late == 0
    assert outcome.answers > 100
    # Some did wait for a process that was away, and were let go in time.
    assert outcome.gave_up > 0


def test_a_process_that_comes_back_with_other_weights_is_found(tmp_path: Path) -> None:
    """The control: each life of this one scores a little differently."""
    outcome = trial(tmp_path, rounds=1, seed=2, module="tests.chaos.reward.drifting_reward", replicas=1)
    print(outcome)
    assert outcome.unlike > 0

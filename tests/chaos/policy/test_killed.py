"""kill -9 of the policy process under traffic: an answer that a caller saw completed is in the log once (F06, F07)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.clients import PolicyClient
from rejoinder.clients.policy import End, Start
from rejoinder.core.errors import Unavailable
from rejoinder.core.types import AttemptStatus, Sampling

from tests.chaos.harness import Killer, Recorder, Traffic, wait_until
from tests.system.policy.world import World, asking

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

CALLERS = 6
EARLY = str(Path(__file__).with_name("early_policy.py"))
#: So late that a spool waits for an answer at almost every moment, however long a busy machine keeps its callers.
FORGETFUL = (str(Path(__file__).parent.with_name("ingest") / "wrong_servers.py"), "forgetful", "2.0")


@dataclass(frozen=True)
class Outcome:
    """lost = |seen completed - stored|; twice: attempts stored more than once. stored: attempts in the log at the end.

    unfinished: attempts in the log whose callers saw no end, for a kill, a cancellation, or an end that did not arrive.
    """

    kills: int
    seen: int
    stored: int
    lost: int
    twice: int
    unfinished: int


class Callers:
    """Callers who ask again whatever happens; some leave in the middle. owns: one client each."""

    def __init__(self, world: World, recorder: Recorder) -> None:
        self._clients: list[PolicyClient] = [world.client(tries=100, max_backoff_s=0.2) for _ in range(CALLERS)]
        self._recorder = recorder

    def call(self, caller: int, stop: threading.Event) -> None:
        ask = asking(user_id=f"u{caller}", sampling=Sampling(1.0, max_tokens=8 + 8 * caller))
        try:
            attempt = self._answered(self._clients[caller].generate(ask), leaves=caller == 0)
        except Unavailable:
            stop.wait(0.02)
            return
        if attempt:
            # On disk outside the service before the next call: this is what the service has promised to keep.
            self._recorder.acknowledged([attempt])

    @staticmethod
    def _answered(parts: object, leaves: bool) -> str:
        """The attempt's id, "" without an end."""
        attempt = ""
        for number, part in enumerate(parts):  # type: ignore[arg-type, var-annotated]
            if isinstance(part, Start):
                attempt = part.attempt_id
            elif isinstance(part, End):
                return attempt
            elif leaves and number == 2:
                return ""
        return ""


def trial(folder: Path, kills: int, seed: int, least: int = 0, **commands: Sequence[str]) -> Outcome:
    """Traffic and kills; then the last process drains and the log is read beside its owner. least: answers seen."""
    world = World(folder, **commands).start()
    recorder = Recorder(folder / "seen")
    try:
        callers = Callers(world, recorder)
        assert world.policy is not None
        with Traffic(CALLERS, callers.call) as traffic:
            wait_until(lambda: recorder.count > 20, "traffic")
            done = list(Killer(world.policy, lambda: recorder.count, traffic, seed).run(kills))
            wait_until(lambda: recorder.count >= least, "enough traffic")
        traffic.check()
        wait_until(lambda: not world.spooled(), "the spool's way into the log")
        assert world.policy.terminate() == 0
        assert world.spooled() == 0
        stored = world.interactions()
    finally:
        world.close()
        recorder.close()
    seen = set(recorder.read())
    complete = {i.attempt_id for i in stored if i.status is AttemptStatus.COMPLETED}
    counted = Counter(i.attempt_id for i in stored)
    return Outcome(
        kills=len(done),
        seen=len(seen),
        stored=len(stored),
        lost=len(seen - complete),
        twice=sum(count > 1 for count in counted.values()),
        unfinished=len(counted.keys() - seen),
    )


def test_ten_kills_lose_no_answer_that_a_caller_saw_and_store_none_twice(tmp_path: Path) -> None:
    outcome = trial(tmp_path, kills=10, seed=1, least=51)
    print(outcome)
    assert outcome.kills == 10
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert outcome.seen > 50
    assert outcome.stored == outcome.seen + outcome.unfinished


def test_a_policy_that_answers_before_the_record_is_on_disk_is_found_to_lose(tmp_path: Path) -> None:
    """The control: the same kills, and a spool that says it has what it has not."""
    outcome = trial(tmp_path, kills=2, seed=2, policy=(EARLY,))
    print(outcome)
    assert outcome.lost > 0


# In the short form ingest has the control of this kind.
@pytest.mark.proof
def test_a_log_that_knows_no_second_copies_is_found_to_hold_some_twice(tmp_path: Path) -> None:
    """The control: what a killed process had sent and not yet struck off is sent again by the next."""
    outcome = trial(tmp_path, kills=4, seed=3, feedback=FORGETFUL)
    print(outcome)
    assert outcome.twice > 0
    assert outcome.lost == 0

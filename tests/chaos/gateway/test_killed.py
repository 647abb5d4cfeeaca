"""kill -9 of the gateway under traffic: an answer that a caller read to its end is in the log once (F06, F07)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import openai
import pytest
from rejoinder.core.types import AttemptStatus

from tests.chaos.harness import Killer, Recorder, Traffic, wait_until
from tests.system.gateway.upstream import Upstream, serving
from tests.system.gateway.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

CALLERS = 4
EARLY = "tests.chaos.gateway.early_gateway"


def read_to_its_end(client: openai.OpenAI, caller: int) -> str:
    """The attempt; "" where the connection went before the end did. Caller 0 leaves in the middle."""
    stream = client.chat.completions.create(
        model="assist", messages=[{"role": "user", "content": "how warm is it"}], stream=True, user=f"u{caller}"
    )
    attempt, finished = "", False
    with stream:
        for number, chunk in enumerate(stream):
            attempt = attempt or str(chunk.model_extra["rejoinder"]["attempt_id"])
            if caller == 0 and number == 1:
                return ""
            finished = finished or chunk.choices[0].finish_reason == "stop"
    return attempt if finished else ""


def trial(
    folder: Path, kills: int, seed: int, command: Sequence[str] = (), least: int = 0
) -> tuple[int, set[str], Counter[str]]:
    """Traffic and kills, then the last process drains: kills, attempts read to their end, attempts in the log.

    least: attempts read to their end.
    """
    with serving(Upstream()) as upstream, ExitStack() as stack:
        world = World(folder, upstream, command=command)
        stack.callback(world.close)
        recorder = Recorder(folder / "seen")
        stack.callback(recorder.close)
        world.start()
        clients = [
            stack.enter_context(openai.OpenAI(api_key="unused", base_url=world.url, max_retries=0))
            for _ in range(CALLERS)
        ]

        def call(caller: int, stop: threading.Event) -> None:
            try:
                attempt = read_to_its_end(clients[caller], caller)
            except (openai.APIConnectionError, openai.InternalServerError):
                stop.wait(0.02)
                return
            if attempt:
                # On disk outside the gateway before the next call: this is what it has promised to keep.
                recorder.acknowledged([attempt])

        assert world.gateway is not None
        with Traffic(CALLERS, call) as traffic:
            wait_until(lambda: recorder.count > 20, "traffic")
            done = list(Killer(world.gateway, lambda: recorder.count, traffic, seed).run(kills))
            wait_until(lambda: recorder.count >= least, "enough traffic")
        traffic.check()
        wait_until(lambda: not world.spooled(), "the spool's way into the log")
        assert world.gateway.terminate() == 0
        assert world.spooled() == 0
        stored = Counter(i.attempt_id for i in world.interactions() if i.status is AttemptStatus.COMPLETED)
        return len(done), set(recorder.read()), stored


def test_ten_kills_lose_no_answer_that_a_caller_read_and_store_none_twice(tmp_path: Path) -> None:
    kills, seen, stored = trial(tmp_path, kills=10, seed=1, least=51)
    print(f"{kills} kills, {len(seen)} read to their end, {len(stored)} stored")
    assert kills == 10
    assert len(seen) > 50
    assert seen - stored.keys() == set()
    assert max(stored.values()) == 1


@pytest.mark.proof
def test_a_gateway_that_answers_before_the_record_is_on_disk_is_found_to_lose(tmp_path: Path) -> None:
    """The control: the same kills, and a spool that says it has what it has not."""
    _, seen, stored = trial(tmp_path, kills=4, seed=2, command=("-m", EARLY))
    assert seen - stored.keys()

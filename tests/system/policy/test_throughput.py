"""How many tokens a second reach callers over gRPC, beside what the model runtime writes with nothing around it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rejoinder.clients.policy import End
from rejoinder.core.errors import NotFound
from rejoinder.core.types import Sampling
from rejoinder.registry.embedded import folder_of

from tests.chaos.harness import Traffic
from tests.system.policy.world import World, asking
from tests.tinypolicy import tiny_policy

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(400)]

SECONDS = 3.0
MAX_TOKENS = 64
#: Runs of each side in turn, so that whatever else the machine does meets both.
TURNS = 3


def base() -> Path:
    """The embedded policy where it was built, else the tiny one."""
    try:
        return folder_of("policy")
    except NotFound:
        return tiny_policy() / "export"


def raw(export: Path, batch: int, how: str) -> float:
    command = [sys.executable, str(Path(__file__).with_name("raw_loop.py")), str(export)]
    done = subprocess.run([*command, str(batch), str(SECONDS), str(MAX_TOKENS), how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def served(world: World, callers: int) -> float:
    """Tokens a second of answers that were heard to their end and recorded."""
    clients = [world.client() for _ in range(callers)]
    counted = [0] * callers

    def call(caller: int, stop: threading.Event) -> None:
        for part in clients[caller].generate(asking(sampling=Sampling(1.0, max_tokens=MAX_TOKENS))):
            if isinstance(part, End):
                counted[caller] += part.completion_tokens

    with Traffic(callers, call) as traffic:
        began = time.perf_counter()
        time.sleep(SECONDS)
        written, took = sum(counted), time.perf_counter() - began
    traffic.check()
    return written / took


@pytest.mark.parametrize("callers", [1, 8, 16])
def test_most_of_what_the_runtime_samples_reaches_callers(tmp_path: Path, callers: int) -> None:
    """Against the runtime's own sampler at the same batch; its greedy ceiling is printed beside it."""
    export = base()
    world = World(tmp_path, export=export)
    try:
        world.start()
        served(world, callers)
        turns = [
            (raw(export, callers, "greedy"), raw(export, callers, "sampled"), served(world, callers))
            for _ in range(TURNS)
        ]
    finally:
        world.close()
    greedy, sampled, ours = (sorted(side)[TURNS // 2] for side in zip(*turns, strict=True))
    print(
        f"callers={callers} greedy={greedy:.0f} sampled={sampled:.0f} served={ours:.0f} tokens/s "
        f"of_greedy={ours / greedy:.2f} of_sampled={ours / sampled:.2f}"
    )
    assert ours > sampled / 3

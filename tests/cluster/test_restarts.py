"""A rolling restart under open-loop load, as callers see it: two replicas behind one client, one after the other gone
and back. Asked: no call is lost through the published client's tries, and at most one raw attempt in 10,000 fails.

The processes are the reward service over a model that sleeps, and with `-m proof` the policy itself, whose streamed
answers may not be asked for twice. The node's form, in pods, is `node/test_restarts.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from rejoinder.clients import AsyncPolicyClient, AsyncRewardClient, Connection

from tests.chaos.harness import Process
from tests.cluster.callers import ALLOWED, ASKED, Tally, answer, counted, load
from tests.system.policy.world import World


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    made = Tally()
    monkeypatch.setattr("rejoinder.clients.channel.Retries", counted(made))
    return made


class Replicas:
    """owns: two processes of a service."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes

    @property
    def target(self) -> str:
        return "ipv4:" + ",".join(f"127.0.0.1:{each.port}" for each in self._processes)

    async def called(self, method: str) -> None:
        """Returns when each has been called."""
        while not all([await asyncio.to_thread(answered, each, method) for each in self._processes]):
            await asyncio.sleep(0.05)

    async def restart(self, number: int, end: Callable[[Process], object], method: str) -> None:
        """Ends one and starts it again; until it is called again, as a rollout waits before the next goes."""
        process = self._processes[number]
        await asyncio.to_thread(end, process)
        await asyncio.to_thread(process.start)
        await self.called(method)

    def close(self) -> None:
        for each in self._processes:
            each.terminate()


def answered(process: Process, method: str) -> bool:
    """Whether this life of a process has answered a call."""
    port = json.loads(process.ready.read_text())["metrics_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return any(line.startswith("rejoinder_rpc_s_count") and method in line and 'status="OK"' in line for line in lines)


@asynccontextmanager
async def scorers(folder: Path) -> AsyncIterator[tuple[Replicas, AsyncRewardClient]]:
    """Two that take 0.1 s for a batch, so that there is always a call at work."""
    processes = []
    environment = {"SERVER__METRICS_PORT": "0", "COST__BATCH_S": "0.1"}
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        processes.append(
            Process([sys.executable, "-m", "loadtests.golden.scorer"], folder / name, "reward", environment)
        )
    try:
        await asyncio.gather(*(asyncio.to_thread(each.start) for each in processes))
        replicas = Replicas(processes)
        client = AsyncRewardClient(Connection(replicas.target))
        yield replicas, client
        await client.close()
        replicas.close()
    finally:
        for each in processes:
            each.close()


@pytest.mark.parametrize(
    ("per_s", "restarts"), [(100.0, 1), pytest.param(200.0, 30, marks=[pytest.mark.proof, pytest.mark.timeout(900)])]
)
async def test_a_rolling_restart_loses_no_call_and_hardly_an_attempt(
    tmp_path: Path, tally: Tally, per_s: float, restarts: int
) -> None:
    async with scorers(tmp_path) as (replicas, client), load(lambda: client.score(ASKED, ["many"]), per_s, tally):
        await replicas.called("Score")
        for number in range(restarts):
            await replicas.restart(number % 2, Process.terminate, "Score")
        print(f"{tally.calls} calls in {restarts} restarts, lost {tally.lost}, raw failed {tally.failed}")
        assert not tally.lost
        if restarts > 1:
            # Of some hundred attempts the share says nothing: one that the machine's own pause fails would be too many.
            assert tally.failed.total() <= ALLOWED * tally.attempts
        # Control: the tally sees what a process that ends at once does to its callers; their tries heal it.
        before = tally.failed.total()
        await replicas.restart(1, Process.kill, "Score")
        assert tally.failed.total() > before
    assert not tally.lost


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_a_rolling_restart_of_the_policy_loses_no_streamed_answer(tmp_path: Path, tally: Tally) -> None:
    """An answer may not be asked for twice, so nothing but the drain and the client's choice of replica helps it."""
    world = World(tmp_path / "world", {"SERVER__METRICS_PORT": "0"})
    world.feedback.start()
    world.start_policy()
    first = world.policy
    assert first is not None
    (tmp_path / "two").mkdir()
    second = first.another(tmp_path / "two", RECORD__SPOOL=str(tmp_path / "two" / "spool"))
    client: AsyncPolicyClient | None = None
    try:
        second.start()
        replicas = Replicas([first, second])
        client = AsyncPolicyClient(Connection(replicas.target, deadline_s=30.0))
        async with load(partial(answer, client), 10.0, tally):
            await replicas.called("Generate")
            for number in range(10):
                await replicas.restart(number % 2, Process.terminate, "Generate")
    finally:
        if client is not None:
            await client.close()
        second.close()
        world.close()
    print(f"{tally.calls} answers in 10 restarts, lost {tally.lost}, raw failed {tally.failed}")
    assert not tally.lost
    assert tally.failed.total() <= ALLOWED * tally.attempts

"""The reward and rerank services on a real Triton server: the same figures, versions that change, a process that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack

import numpy as np
import pytest
from rejoinder.clients import AsyncRewardClient, Connection
from rejoinder.core.answertext import TokenRow
from rejoinder.core.errors import DeadlineExceeded, Loading, Unavailable
from rejoinder.core.modelfolder import verified
from rejoinder.core.types import Message, Role
from rejoinder.reward.__main__ import build
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.backends import BACKENDS
from rejoinder.runtime.settings import ServerSettings
from rejoinder.runtime.textmodel import BatchSettings, ModelSettings, TritonSettings, pad
from rejoinder.runtime.triton.repository import drop
from rejoinder.runtime.triton.sealed import version_of

from tests.chaos.harness import wait_until
from tests.system.serving import served

pytestmark = pytest.mark.system

ASKED = [Message(Role.USER, "How do I boil an egg?")]
ANSWERS = ["Put it in boiling water for about seven minutes, then cool it.", "I don't know.", "Eggs are sold boxed."]
#: Longest that a version may be away, in seconds; measured: four.
BACK_S = 15.0


def reward(world, folder, **triton):
    at = TritonSettings(target=world.server.target, model="reward", **triton)
    model = ModelSettings(folder=folder, threads=1, backend="triton", triton=at)
    return RewardSettings(server=ServerSettings(grace_s=5.0), model=model, batch=BatchSettings(lanes=2))


def graphs(world, folder, name):
    """(in this process, on the server)"""
    here, there = BACKENDS["onnx"], BACKENDS["triton"]
    at = {"target": world.server.target, "model": name, "wait_s": 60.0}
    whole = verified(folder)
    return here.make(whole, here.with_params({"threads": 1})), there.make(whole, there.with_params(at))


def rows(count, longest, seed=3):
    draw = np.random.default_rng(seed)
    sizes = draw.integers(3, longest, count)
    return pad([TokenRow(tuple(draw.integers(1000, 20_000, size).tolist()), (0,) * size) for size in sizes])


def test_a_version_on_the_server_is_the_same_as_in_this_process(world):
    """More rows than one of its batches takes, too."""
    here, there = graphs(world, world.heads / "bt-v1", "reward")
    assert there.digest == here.digest
    for count, longest in ((1, 12), (7, 60), (70, 12)):
        tensors = rows(count, longest)
        assert np.abs(there.infer(tensors)["score"] - here.infer(tensors)["score"]).max() < 1e-5
        assert there.infer(tensors)["score"].shape == (count,)
    with pytest.raises(DeadlineExceeded):
        there.infer(rows(60, 200), left_s=0.005)
    there.close()


async def test_the_service_answers_the_same_and_refuses_what_the_server_does_not_have(world, second):
    local = RewardSettings(model=ModelSettings(folder=world.heads / "bt-v1", threads=1))
    found = []
    for settings in (local, reward(world, world.heads / "bt-v1")):
        async with served("reward", settings, build) as at, AsyncRewardClient(Connection(at.target)) as client:
            found.append(await client.score(ASKED, ANSWERS))
    assert found[1].scores == pytest.approx(found[0].scores, abs=1e-5)
    assert found[1].digest == found[0].digest
    with pytest.raises(Loading):
        async with served("reward", reward(world, second, wait_s=0.0), build):
            pass


class Load:
    """Callers that ask one after the other. owns: what became of their calls, as (target, error or "") → count."""

    def __init__(self, callers: int) -> None:
        self.found: Counter[tuple[str, str]] = Counter()
        self.wrong = 0
        self._callers = callers
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()

    def on(self, target, digest, scores, **connection):
        self._tasks += [
            asyncio.create_task(self._ask(target, digest, scores, connection)) for _ in range(self._callers)
        ]

    async def _ask(self, target, digest, scores, connection):
        async with AsyncRewardClient(Connection(target, **connection)) as client:
            while not self._ended.is_set():
                try:
                    got = await client.score(ASKED, ANSWERS)
                except Exception as error:
                    self.found[target, type(error).__name__] += 1
                    continue
                self.found[target, ""] += 1
                self.wrong += got.digest != digest or got.scores != pytest.approx(scores, abs=1e-4)

    def answered(self, target):
        return self.found[target, ""]

    async def end(self):
        self._ended.set()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()
        self._ended.clear()

    @property
    def errors(self):
        return {error: count for (_, error), count in self.found.items() if error}


async def until(true, what, timeout_s=60.0):
    await asyncio.to_thread(wait_until, true, what, timeout_s)


async def changed(world, old, new, plus, callers, least):
    """Callers of both versions while the new one is loaded, and of the new one while the old one goes; every call is
    tried once. Returns the load, ended."""
    load = Load(callers)
    before = (await scores_of(world, old))[0]
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served("reward", reward(world, old), build))
        load.on(first.target, verified(old).digest, before, tries=1)
        await until(lambda: load.answered(first.target) > least, "answers of the old version")
        world.write(new)
        await until(lambda: world.serves(new), "the new version")
        other = await stack.enter_async_context(served("reward", reward(world, new), build))
        both = Load(callers)
        both.on(other.target, verified(new).digest, [score + plus for score in before], tries=1)
        await until(lambda: both.answered(other.target) > least, "answers of the new version")
        await load.end()
        drop(world.server.repository, "reward", version_of(verified(old).digest))
        await until(lambda: not world.serves(old), "the end of the old version")
        so_far = both.answered(other.target)
        await until(lambda: both.answered(other.target) > so_far + least, "answers without the old version")
        # Who still asks for it is told to come again, and never answered by another.
        async with AsyncRewardClient(Connection(first.target, tries=1)) as late:
            with pytest.raises(Unavailable):
                await late.score(ASKED, ANSWERS)
        await both.end()
    load.found.update(both.found)
    load.wrong += both.wrong
    return load


async def scores_of(world, folder):
    settings = RewardSettings(model=ModelSettings(folder=folder, threads=1))
    async with served("reward", settings, build) as at, AsyncRewardClient(Connection(at.target)) as client:
        found = await client.score(ASKED, ANSWERS)
        return list(found.scores), found.digest


async def test_a_version_changes_under_load_without_an_error_and_none_is_taken_for_another(world, second):
    load = await changed(world, world.heads / "bt-v1", second, 1.0, callers=2, least=20)
    assert load.errors == {}
    assert load.wrong == 0
    # And back, as a rollback is, for whoever comes after.
    world.write(world.heads / "bt-v1")
    await until(lambda: world.serves(world.heads / "bt-v1"), "the first version again")


async def test_a_process_that_is_killed_is_loaded_anew_and_callers_notice_only_the_time(world):
    """`-m proof` takes turns; here once. Triton itself would fail every request from here on, and say READY."""
    seconds, load, once = await killed(world)
    assert seconds < BACK_S
    assert load.errors == {}
    assert load.wrong == 0
    assert set(once.errors) <= {"Loading"}
    assert once.errors


async def killed(world):
    """(seconds without an answer, callers that try again, callers that do not)"""
    folder = world.heads / "bt-v1"
    scores, digest = await scores_of(world, folder)
    async with served("reward", reward(world, folder), build) as at:
        load, once = Load(2), Load(1)
        load.on(at.target, digest, scores, deadline_s=60.0, tries=40)
        once.on(at.target, digest, scores, tries=1)
        await until(lambda: load.answered(at.target) > 10, "answers")
        for pid in world.server.stubs():
            os.kill(pid, signal.SIGKILL)
        began, so_far = time.monotonic(), load.answered(at.target)
        await until(lambda: once.errors, "an error")
        so_far = load.answered(at.target)
        await until(lambda: load.answered(at.target) > so_far, "an answer again")
        seconds = time.monotonic() - began
        await load.end()
        await once.end()
    return seconds, load, once

"""The reward service on a real Triton server: the same figures, a process that dies, versions that change.

`pytest tests/system/triton -m proof -s` takes longer and prints what the way to the server costs.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from rejoinder.clients import AsyncRerankClient, AsyncRewardClient, Connection
from rejoinder.clients.rerank import RerankAsk
from rejoinder.core.answertext import TokenRow
from rejoinder.core.errors import DeadlineExceeded, Loading, RejoinderError
from rejoinder.core.modelfolder import TOKENIZER, verified
from rejoinder.core.types import Message, Role
from rejoinder.rerank.__main__ import build as build_rerank
from rejoinder.rerank.settings import RecordSettings, RerankSettings
from rejoinder.reward.__main__ import build
from rejoinder.reward.heads.bt import BradleyTerry
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.backends import BACKENDS
from rejoinder.runtime.batching.textmodel import BatchSettings, ModelSettings, TritonSettings, pad, words_of
from rejoinder.runtime.settings import ServerSettings
from rejoinder.runtime.triton.repository import drop
from rejoinder.runtime.triton.sealed import version_of

from tests.chaos.harness import wait_until
from tests.system.serving import served

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
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
    server = there.make(whole, there.with_params(at))
    wait_until(server.ready, "the version", 60.0)
    return here.make(whole, here.with_params({"threads": 1})), server


def rows(count, longest, seed=3):
    draw = np.random.default_rng(seed)
    sizes = draw.integers(3, longest, count)
    return pad([TokenRow(tuple(draw.integers(1000, 20_000, size).tolist()), (0,) * size) for size in sizes])


def test_the_server_computes_with_the_runtime_that_we_do():
    locks = [(ROOT / "requirements" / f"{name}.txt").read_text() for name in ("services", "triton")]
    ours, theirs = (re.findall(r"^onnxruntime==\S+", lock, re.MULTILINE) for lock in locks)
    assert ours == theirs != []


def test_a_version_on_the_server_is_the_same_as_in_this_process(world):
    """More rows than one of its batches takes, too."""
    here, there = graphs(world, world.heads / "bt-v1", "reward")
    assert there.digest == here.digest
    for count, longest in ((1, 12), (7, 60), (70, 12)):
        tensors = rows(count, longest)
        assert np.abs(there.infer(tensors)["score"] - here.infer(tensors)["score"]).max() < 1e-5
        assert there.infer(tensors)["score"].shape == (count,)
    with pytest.raises(DeadlineExceeded):
        there.infer(rows(6, 60), left_s=0.002)
    there.close()


async def test_the_service_answers_the_same_and_refuses_what_the_server_does_not_have(world, second):
    folder = world.heads / "bt-v1"
    async with served("reward", reward(world, folder), build) as at, AsyncRewardClient(Connection(at.target)) as client:
        found = await client.score(ASKED, ANSWERS, deadline_s=60.0)
    digest, scores = expected(folder)
    assert (found.digest, found.scores) == (digest, pytest.approx(scores, abs=1e-5))
    with pytest.raises(Loading):
        async with served("reward", reward(world, second, wait_s=0.0), build):
            pass


class Load:
    """Callers that ask one after the other. owns: what became of their calls: error, or "", → count; the wrong answers.

    pause_s: of each between two calls; without any they would take the processor from what is being loaded.
    """

    def __init__(self, callers: int, pause_s: float) -> None:
        self.found: Counter[str] = Counter()
        self.wrong = 0
        self._callers = callers
        self._pause_s = pause_s
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()

    def on(self, target, expected, **connection):
        self._tasks += [asyncio.create_task(self._ask(target, expected, connection)) for _ in range(self._callers)]

    async def _ask(self, target, expected, connection):
        async with AsyncRewardClient(Connection(target, **connection)) as client:
            while not self._ended.is_set():
                try:
                    got = await client.score(ASKED, ANSWERS[:1])
                except RejoinderError as error:
                    self.found[error.reason] += 1
                else:
                    self.found[""] += 1
                    self.wrong += (got.digest, got.scores[0]) != (expected[0], pytest.approx(expected[1][0], abs=1e-4))
                await asyncio.sleep(self._pause_s)

    @property
    def answered(self):
        return self.found[""]

    @property
    def errors(self):
        return {reason: count for reason, count in self.found.items() if reason}

    async def end(self):
        self._ended.set()
        await asyncio.gather(*self._tasks)


async def until(true, what, timeout_s=60.0):
    await asyncio.to_thread(wait_until, true, what, timeout_s)


async def more(load, least, what):
    so_far = load.answered
    await until(lambda: load.answered >= so_far + least, what)


def expected(folder):
    """(digest, score of each answer) of a version in this process."""
    row = BACKENDS["onnx"]
    whole = verified(folder)
    graph = row.make(whole, row.with_params({"threads": 1}))
    head, words = BradleyTerry(whole.facts), words_of(folder / TOKENIZER)
    return whole.digest, graph.infer(pad(head.rows(words, ASKED, ANSWERS)))["score"].tolist()


async def killed(world, folder, pause_s=0.02):
    """(seconds without an answer, callers that try again, callers that do not)"""
    async with served("reward", reward(world, folder), build) as at:
        patient, once = Load(1, pause_s), Load(1, pause_s)
        patient.on(at.target, expected(folder), deadline_s=60.0, tries=40)
        once.on(at.target, expected(folder), deadline_s=60.0, tries=1)
        await more(patient, 5, "answers")
        for pid in world.server.stubs():
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        await until(lambda: once.errors, "an error")
        await more(patient, 1, "an answer again")
        seconds = time.monotonic() - began
        await patient.end()
        await once.end()
    return seconds, patient, once


async def changed(world, old, new, callers=2, pause_s=0.02, least=10):
    """Callers of both versions while the new one is loaded, and of the new one while the old one goes; every call is
    tried once. The loads, ended."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served("reward", reward(world, old), build))
        before = Load(callers, pause_s)
        before.on(first.target, expected(old), deadline_s=60.0, tries=1)
        await more(before, least, "answers of the old version")
        world.write(new)
        await until(lambda: world.serves(new), "the new version")
        second = await stack.enter_async_context(served("reward", reward(world, new), build))
        after = Load(callers, pause_s)
        after.on(second.target, expected(new), deadline_s=60.0, tries=1)
        await more(after, least, "answers of the new version")
        await before.end()
        drop(world.server.repository, "reward", version_of(verified(old).digest))
        await until(lambda: not world.serves(old), "the end of the old version")
        await more(after, least, "answers without the old version")
        # Who still asks for it is told to come again, and never answered by another.
        async with AsyncRewardClient(Connection(first.target, deadline_s=60.0, tries=1)) as late:
            with pytest.raises(Loading):
                await late.score(ASKED, ANSWERS)
        await after.end()
    return before, after


async def test_a_process_that_is_killed_is_loaded_anew_and_callers_notice_only_the_time(world):
    """Triton itself would fail every request from here on, and say READY."""
    seconds, patient, once = await killed(world, world.heads / "bt-v1")
    assert seconds < BACK_S
    assert patient.errors == {}
    assert once.errors.keys() == {"LOADING"}
    assert patient.wrong == once.wrong == 0


async def test_a_version_changes_under_load_without_an_error_and_none_is_taken_for_another(world, second):
    before, after = await changed(world, world.heads / "bt-v1", second)
    assert before.errors == after.errors == {}
    assert before.wrong == after.wrong == 0


@pytest.mark.proof
async def test_rerank_answers_the_same(world, tmp_path):
    world.write(world.heads / "minilm", "minilm")
    found = []
    for backend in ("onnx", "triton"):
        at = TritonSettings(target=world.server.target)
        settings = RerankSettings(
            server=ServerSettings(),
            rankers=("cosine",),
            encoder=ModelSettings(folder=world.heads / "minilm", threads=1, backend=backend, triton=at),
            record=RecordSettings(feedback="127.0.0.1:1", spool=tmp_path / backend, drain_s=0.0),
        )
        async with (
            served("rerank", settings, build_rerank) as server,
            AsyncRerankClient(Connection(server.target)) as client,
        ):
            slate = await client.rerank(RerankAsk(ASKED[0].content, tuple(zip("abc", ANSWERS, strict=True))))
            found.append((slate.digest, {each.id: each.score for each in slate.ranked}))
    assert found[1] == (found[0][0], pytest.approx(found[0][1], abs=1e-5))


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_ten_changes_under_load_and_five_killed_processes(world, second):
    versions = [world.heads / "bt-v1", second]
    if not world.serves(versions[0]):
        versions.reverse()
    answers = 0
    for _ in range(10):
        loads = await changed(world, *versions, callers=4, pause_s=0.0, least=50)
        assert [load.errors for load in loads] == [{}, {}]
        assert sum(load.wrong for load in loads) == 0
        answers += sum(load.answered for load in loads)
        versions.reverse()
    print(f"\n10 changes of version: {answers} answers, 0 errors, 0 of other weights")
    back = []
    for _ in range(5):
        seconds, patient, once = await killed(world, versions[0])
        assert patient.errors == {}
        assert patient.wrong == once.wrong == 0
        back.append(seconds)
    print(f"5 killed processes: back after {min(back):.1f} to {max(back):.1f} s")
    assert max(back) < BACK_S


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_what_the_way_to_the_server_costs(world):
    """Batches of one row, and of as many as a batch's budget holds; in turns, median of each."""
    folder = world.heads / "bt-v1"
    name = "reward" if world.serves(folder) else "cost"
    if name == "cost":
        world.write(folder, name)
    here, there = graphs(world, folder, name)
    for count, longest in ((1, 12), (1, 60), (6, 60)):
        tensors = rows(count, longest)
        took = {"here": [], "there": []}
        for _ in range(100):
            for side, graph in (("here", here), ("there", there)):
                began = time.perf_counter()
                graph.infer(tensors)
                took[side].append(1e3 * (time.perf_counter() - began))
        middle = {side: statistics.median(values) for side, values in took.items()}
        high = {side: statistics.quantiles(values, n=100)[98] for side, values in took.items()}
        print(
            f"\n{count} x {tensors['input_ids'].shape[1]} tokens, ms: here p50 {middle['here']:.2f} "
            f"p99 {high['here']:.2f}, there {middle['there']:.2f} {high['there']:.2f}, "
            f"added p50 {middle['there'] - middle['here']:.2f}"
        )
    there.close()

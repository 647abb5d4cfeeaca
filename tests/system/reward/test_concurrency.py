"""Sixteen callers at once, one answer each: our batches against one row at a time and against batches as they come.

`pytest tests/system/reward/test_concurrency.py -m proof -s` prints requests a second and latencies of all three, each
in turn on the same machine in the same run, so that the ratios hold where the figures do not.
"""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest
from rejoinder.clients import AsyncRewardClient, Connection
from rejoinder.core.types import Message, Role
from rejoinder.reward.__main__ import build
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.batching.textmodel import BatchSettings, ModelSettings
from rejoinder.runtime.settings import ServerSettings

from tests.system.serving import served

pytestmark = [pytest.mark.system, pytest.mark.proof]

CALLERS, CALLS, ROUNDS = 16, 8, 4
WAYS = {
    "ours": BatchSettings(),
    "one_by_one": BatchSettings(max_rows=1, window=1),
    "as_they_come": BatchSettings(max_rows=16, max_tokens=16 * 256, window=16),
}


def asks() -> list[tuple[list[Message], str]]:
    """Conversations and answers with the lengths of real ones: log-normal, median about 70 tokens, to 250."""
    rng = np.random.default_rng(0)
    sizes = np.clip(rng.lognormal(3.7, 0.8, CALLERS * CALLS), 3, 180).astype(int)
    words = ("the", "answer", "is", "that", "you", "mix", "flour", "with", "salt", "and", "wait", "for", "an", "hour")
    text = [" ".join(rng.choice(words, size)) for size in sizes]
    return [([Message(Role.USER, " ".join(rng.choice(words, 12)))], answer) for answer in text]


async def measured(client: AsyncRewardClient) -> list[float]:
    """Seconds of each call, CALLERS at a time."""
    waiting = iter(asks())
    took: list[float] = []

    async def caller() -> None:
        for messages, answer in waiting:
            began = time.monotonic()
            await client.score(messages, [answer], deadline_s=120.0)
            took.append(time.monotonic() - began)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return took


@pytest.mark.timeout(600)
async def test_batches_of_like_lengths_cost_less_than_batches_as_they_come(models):
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    walls, processor = dict.fromkeys(WAYS, 0.0), dict.fromkeys(WAYS, 0.0)
    for _ in range(ROUNDS):
        for name, batch in WAYS.items():
            model = ModelSettings(folder=models / "bt-v1", threads=2)
            settings = RewardSettings(server=ServerSettings(grace_s=5.0), model=model, batch=batch)
            async with served("reward", settings, build) as at:
                async with AsyncRewardClient(Connection(at.target)) as client:
                    began, busy = time.monotonic(), time.process_time()
                    took[name] += await measured(client)
                    walls[name] += time.monotonic() - began
                    processor[name] += time.process_time() - busy
    figures = {
        name: {
            "requests_per_s": round(len(took[name]) / walls[name], 1),
            "requests_per_cpu_s": round(len(took[name]) / processor[name], 1),
            "p50_ms": round(1000 * float(np.quantile(took[name], 0.5))),
            "p99_ms": round(1000 * float(np.quantile(took[name], 0.99))),
        }
        for name in WAYS
    }
    ratio = {name: round(processor[name] / processor["ours"], 2) for name in WAYS}
    print(json.dumps({"callers": CALLERS, "figures": figures, "cpu_against_ours": ratio}))
    assert processor["ours"] < processor["as_they_come"]

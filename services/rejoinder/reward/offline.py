"""A head in this process: over a file of judged pairs, `rejoinder reward evaluate FILE`; or over answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.clock import Clock
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Message, Role
from rejoinder.reward.evaluation import evaluate
from rejoinder.reward.loading import loaded
from rejoinder.reward.pairfile import read
from rejoinder.reward.scorer import Scorer
from rejoinder.reward.settings import HeadSettings, RewardSettings
from rejoinder.runtime.batching.textmodel import BatchSettings

#: A file is scored by one caller: no interactive work to keep short for, so a wide window saves padding.
_WINDOW = 512
_AT_ONCE = 256


async def margins(scorer: Scorer, records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """score a − score b of every record (n,)."""
    out: list[float] = []
    for start in range(0, len(records), _AT_ONCE):
        part = records[start : start + _AT_ONCE]
        scored = await asyncio.gather(
            *(scorer.score("", _messages(record), [record["a"], record["b"]]) for record in part)
        )
        out += [s.scores[0] - s.scores[1] for s in scored]
    return np.array(out)


async def evaluate_file(path: Path, settings: RewardSettings, clock: Clock) -> dict[str, float | int | str]:
    """`evaluation.evaluate` of the head in settings, with its name, digest and `pairs_per_s`."""
    records = read(path)
    async with _opened(settings, clock) as scorer:
        began = clock.monotonic()
        found = await margins(scorer, records)
        seconds = clock.monotonic() - began
        model = scorer.heads[scorer.default].model
    facts: dict[str, float | int | str] = {
        "head": settings.head,
        "digest": model.digest,
        "pairs_per_s": len(records) / max(seconds, 1e-9),
    }
    return {**evaluate(records, found), **facts}


async def scores(
    answers: Sequence[tuple[Sequence[Message], str]],
    settings: RewardSettings,
    clock: Clock,
    told: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """(n,) logits of answers with their prompts; told: hears how many are done."""
    out: list[float] = []
    async with _opened(settings, clock) as scorer:
        for start in range(0, len(answers), _AT_ONCE):
            part = answers[start : start + _AT_ONCE]
            scored = await asyncio.gather(*(scorer.score("", prompt, [answer]) for prompt, answer in part))
            out += [s.scores[0] for s in scored]
            told(len(out))
    return np.array(out, np.float64)


@asynccontextmanager
async def _opened(settings: RewardSettings, clock: Clock) -> AsyncIterator[Scorer]:
    """The head in settings, loaded and started; closed at the end."""
    batch = BatchSettings(**{**settings.batch.model_dump(), "window": _WINDOW})
    wanted = HeadSettings(head=settings.head, model=settings.model)
    head = await asyncio.to_thread(loaded, settings.head, wanted, batch, clock, Metrics())
    await head.model.start()
    try:
        yield Scorer([head], settings.max_responses)
    finally:
        await head.model.close()


def _messages(record: Mapping[str, Any]) -> list[Message]:
    return [Message(Role(message["role"].upper()), message["text"]) for message in record["messages"]]

"""Texts through a tokenizer, the batcher and a backend: what reward heads and rankers are built on.

A caller gives a pure function from the encoder (texts → token ids) to rows; it runs in a thread, so that tokenising
never holds the event loop. Rows are batched with everybody's, padded, and one output of the graph comes back per row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rejoinder.core.answertext import TokenRow
from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.core.metrics import Metrics
from rejoinder.core.modelfolder import TOKENIZER, Kind, ModelFolder, verified
from rejoinder.core.turntext import TurnRow
from rejoinder.runtime.backends import BACKENDS, Backend, backend_of, placed
from rejoinder.runtime.backends.onnx import Device
from rejoinder.runtime.batching.batcher import Batcher, Report
from rejoinder.runtime.batching.plan import Limits
from rejoinder.runtime.own import EXPORTED, OwnEncoderTheme, exported
from rejoinder.runtime.settings import Theme


class TritonSettings(Theme):
    target: str = "127.0.0.1:8001"
    """`host:port` of the server's gRPC, or `dns:///name:port` for all its replicas; in clear text: it stands in the
    same pod, or in a network where only we reach it."""
    model: str = ""
    """What the server's repository calls the model (`rejoinder triton-repo --name`); "" = as the folder is called."""
    wait_s: float = Field(default=120.0, ge=0)
    """Seconds at the start for the server to have the version; longer than it takes to load."""
    call_s: float = Field(default=30.0, gt=0)
    """Seconds that a batch may take there, where none of its callers waits less."""


class ModelSettings(Theme):
    folder: Path | None = None
    """Folder of the exported model; `rejoinder models build` makes those of the package. Not read where `own.name`
    names one."""
    own: OwnEncoderTheme = OwnEncoderTheme()
    """A model of your own in its place, by path or by its name on the Hugging Face hub."""
    digest: str = ""
    """The only digest that is loaded; "" takes what the folder says it is, checked against its files."""
    backend: Literal["auto", "onnx", "openvino", "triton"] = "auto"
    """Where it is computed: `auto` is what `rejoinder compile` made the folder for (`openvino`: bf16), `onnx` for any
    other."""
    threads: int = Field(default=0, ge=0)
    """Threads of one run. 0, with `batch.lanes` 0 too: what `rejoinder compile` found quickest for the folder, at most
    the cores (or the container's limit); for any other folder one thread and two lanes, of which a row alone takes
    longer than on two threads. Threads times lanes beyond the physical cores only add waiting."""
    device: Device = "cpu"
    """Where `onnx` computes; `cuda` and `tensorrt` need onnxruntime-gpu in the place of onnxruntime."""
    triton: TritonSettings = TritonSettings()
    """Where the backend is `triton`: it computes, and what stands in `folder` says what is asked of it."""

    def opened(self, folder: ModelFolder, threads: int, lanes: int) -> Backend:
        """A verified folder's graph, for so many runs at once of so many threads. Blocks for about a second.

        Raises BadFile, BadSettings, FailedPrecondition."""
        row = BACKENDS[backend_of(folder, self.backend)]
        if row.name == "onnx":
            params: dict[str, Any] = {"threads": threads, "device": self.device}
        elif self.device != "cpu":
            raise BadSettings(f"device: {self.device} is for the backend onnx, and this is {row.name}", field="device")
        elif row.name == "triton":
            params = self.triton.model_dump()
        else:
            params = {"threads": threads, "lanes": lanes}
        return row.make(folder, row.with_params(params))


class BatchSettings(Theme):
    max_tokens: int = Field(default=384, ge=1)
    """Tokens of a batch, padding included. A longer row of a model of your own is a batch of its own; of ours it is
    TOO_LONG. 256 to 384 cost a CPU least; a GPU wants more."""
    max_rows: int = Field(default=64, ge=1)
    """Rows of a batch; bounds the latency that many short rows would add."""
    window: int = Field(default=64, ge=1)
    """Rows sorted by length together: more saves padding, less keeps closer to order of arrival."""
    max_queued_tokens: int = Field(default=262_144, ge=1)
    """Waiting tokens above which callers get QUEUE_FULL; protects memory and keeps the wait below deadlines."""
    patience_s: float = Field(default=5.0, ge=0)
    """Seconds after which work of batch class counts as interactive, so that it cannot starve."""
    lanes: int = Field(default=0, ge=0)
    """Batches computed at once; 0 = see `model.threads` (1 where that is said, and for a model server or a GPU, which
    want two or more)."""
    headroom: float = Field(default=0.4, gt=0, le=1)
    """Share of a caller's time, less the batch at work and its own, that what waits before it is thought to fill at
    most; beyond it QUEUE_FULL at once. More admits calls that rows of other lengths overtake for too long."""

    def limits(self) -> Limits:
        return Limits(**{**self.model_dump(), "lanes": self.lanes or 1})


@dataclass(frozen=True)
class Words:
    """A tokenizer as layouts need it. encode: texts → ids without special tokens; cls, sep: ids of those, None of a
    model that has another layout than our own."""

    encode: Callable[[Sequence[str]], list[list[int]]]
    cls: int | None
    sep: int | None


@dataclass(frozen=True)
class Caller:
    """For whom: fairness is between tenants; deadline on `clock.monotonic()`; background: batch class."""

    tenant: str = ""
    deadline: float | None = None
    background: bool = False


NOBODY = Caller()

#: Seconds between two looks whether a graph elsewhere is ready.
_LOOK_S = 0.2


@dataclass(frozen=True)
class _Asked:
    """A row, the output of the graph that is wanted of it, and by when."""

    row: TokenRow
    output: str
    deadline: float | None = None


class TextModel:
    """owns: the graph, its batcher and tokenizer."""

    def __init__(
        self,
        graph: Backend,
        words: Words,
        facts: Mapping[str, Any],
        batch: BatchSettings,
        clock: Clock,
        observe: Callable[[Report], None] = lambda report: None,
        on_given_up: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.digest = graph.digest
        self.facts = facts
        self._graph = graph
        self._words = words
        self._clock = clock
        # A model that was brought says how long its rows may be; such a row is a batch of its own.
        limits = replace(batch.limits(), longest=facts.get("layout", {}).get("most", 0))
        self._batcher: Batcher[_Asked, np.ndarray] = Batcher(self._run, limits, clock, observe, on_given_up)

    async def start(self) -> None:
        """Waits for the graph (on the loop: a process that is told to end meanwhile does), starts the lanes and
        computes one short row, so that the first caller pays for nothing. Raises Loading where it did not come."""
        while not await asyncio.to_thread(self._graph.ready):
            await asyncio.sleep(_LOOK_S)
        await self._batcher.start()
        # Any two tokens: not every model has a [CLS].
        row = TokenRow((0, 0), (0, 1))
        await self._batcher.submit([_Asked(row, self.facts["outputs"][0])], [len(row.ids)])

    async def close(self) -> None:
        await self._batcher.close()
        self._graph.close()

    async def infer(
        self, rows: Callable[[Words], Sequence[TokenRow]], output: str, caller: Caller = NOBODY
    ) -> np.ndarray:
        """One output of the graph for the rows that `rows` lays out, stacked: (rows, …).

        Raises what Batcher.submit raises: QueueFull, TooLong, DeadlineExceeded, Draining.
        """
        # A full queue refuses before a word is tokenised.
        self._batcher.check(**vars(caller))
        laid = await asyncio.to_thread(rows, self._words)
        results = await self._batcher.submit(
            [_Asked(row, output, caller.deadline) for row in laid],
            [len(row.ids) for row in laid],
            **vars(caller),
        )
        return np.stack(results)

    def _run(self, rows: Sequence[_Asked]) -> list[np.ndarray]:
        # Wanted until the last of its callers has gone.
        deadlines = [each.deadline for each in rows if each.deadline is not None]
        left_s = max(deadlines) - self._clock.monotonic() if len(deadlines) == len(rows) else None
        outputs = self._graph.infer(pad([each.row for each in rows]), left_s)
        return [outputs[each.output][index] for index, each in enumerate(rows)]


def pad(rows: Sequence[TokenRow | TurnRow]) -> dict[str, np.ndarray]:
    """input_ids, attention_mask, token_type_ids: (rows, longest) int64, padded with 0 on the right."""
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids, mask, types = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    for at, row in enumerate(rows):
        size = len(row.ids)
        ids[at, :size], mask[at, :size], types[at, :size] = row.ids, 1, row.types
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def words_of(tokenizer_file: Path) -> Words:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    return Words(encode, tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]"))


def brought(settings: ModelSettings, kind: Kind, setting: str) -> ModelSettings:
    """The same with a folder: a model of somebody's own is exported first, which takes minutes once. setting: what
    these are called where a person writes them. Raises BadSettings where no model is named, BadFile for an export of
    another kind, FailedPrecondition."""
    if settings.own.name:
        return settings.model_copy(update={"folder": exported(settings.own, kind, f"{setting}.own.name")})
    if settings.folder is None:
        raise BadSettings(f"{setting}: no model is named, neither by folder nor by own.name", setting=setting)
    return settings


def load(settings: ModelSettings, batch: BatchSettings, clock: Clock, metrics: Metrics) -> TextModel:
    """The model of a folder. Blocks for about a second. Raises BadFile, DataLoss, UnknownRow."""
    assert settings.folder is not None
    if (settings.folder / EXPORTED["policy"]).is_file():
        raise BadFile(
            f"{settings.folder} holds a causal model, which reward's head: causal reads", file=EXPORTED["policy"]
        )
    folder = verified(settings.folder, settings.digest)
    if backend_of(folder, settings.backend) == "triton" or settings.device != "cpu":
        threads, lanes = settings.threads, batch.lanes or 1
    else:
        threads, lanes = placed(folder, settings.threads, batch.lanes)
    graph = settings.opened(folder, threads or 1, lanes)
    batch = batch.model_copy(update={"lanes": lanes})
    return TextModel(
        graph,
        words_of(folder.path / TOKENIZER),
        _cut(folder.facts, settings.own.max_tokens),
        batch,
        clock,
        partial(observe, metrics),
        metrics["batch_given_up_total"].inc,
    )


def _cut(facts: Mapping[str, Any], most: int) -> Mapping[str, Any]:
    """Facts of a model that was brought with rows of at most so many tokens; ours as they are."""
    if "layout" not in facts:
        return facts
    return {**facts, "layout": {**facts["layout"], "most": min(facts["layout"]["most"], most)}}


def observe(metrics: Metrics, report: Report) -> None:
    for wait in report.queue_s:
        metrics["batch_queue_s"].observe(wait)
    metrics["batch_run_s"].observe(report.run_s)
    # A row longer than the budget is a batch of its own: full.
    metrics["batch_fill"].observe(min(1.0, report.padded_tokens / report.budget))
    metrics["batch_padding"].observe(1 - report.tokens / report.padded_tokens)

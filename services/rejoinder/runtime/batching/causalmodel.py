"""Rows that begin alike through the batcher and a causal backbone: what `TextModel` is for encoders.

A request's rows share their context (type 0), which is read once; each answer (type 1) after it. What the batcher
schedules is a piece of a request: the context and as many answers as fit a turn, so that a request of many answers
leaves turns to others. Where its own pieces follow one another the context is not read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from rejoinder.core.answertext import TokenRow
from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadFile, BadSettings, TooLong
from rejoinder.core.metrics import Metrics
from rejoinder.core.modelfolder import FACTS, verified
from rejoinder.core.types import Message
from rejoinder.runtime.backends import AUTO, cores
from rejoinder.runtime.backends.chattext import ChatText, control_tokens
from rejoinder.runtime.backends.decoder import Decoder
from rejoinder.runtime.backends.prefix import PrefixReader
from rejoinder.runtime.batching.batcher import Batcher, Report
from rejoinder.runtime.batching.textmodel import NOBODY, BatchSettings, Caller, ModelSettings, observe
from rejoinder.runtime.own import EXPORTED


@dataclass(frozen=True)
class ChatWords:
    """chat: a conversation → ids under the model's template, the answer's opening included. encode: texts → ids."""

    chat: Callable[[Sequence[Message]], list[int]]
    encode: Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True)
class Piece:
    """Answers to one context, token ids."""

    context: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def tokens(self) -> int:
        return len(self.context) + sum(map(len, self.answers))


class CausalModel:
    """owns: the decoder's cache and its batcher. output: what the graph gives of a text's last token."""

    def __init__(
        self,
        decoder: Decoder,
        digest: str,
        words: ChatWords,
        facts: Mapping[str, Any],
        batch: BatchSettings,
        clock: Clock,
        observe: Callable[[Report], None] = lambda report: None,
        on_given_up: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.digest = digest
        self.facts = facts
        self._words = words
        self._reader = PrefixReader(decoder)
        # A turn holds at least the longest row that the model takes, and a piece is a batch of its own: rows of
        # different requests have nothing in common.
        self._turn = max(batch.max_tokens, decoder.shape.context)
        limits = replace(batch.limits(), max_tokens=self._turn, max_rows=1, lanes=1)
        self._batcher: Batcher[Piece, np.ndarray] = Batcher(self._run, limits, clock, observe, on_given_up)

    async def start(self) -> None:
        """Starts the lane and reads one short row, so that the first caller pays for nothing."""
        await self._batcher.start()
        await self._batcher.submit([Piece((1,), ((1,),))], [2])

    async def close(self) -> None:
        await self._batcher.close()

    async def infer(
        self, rows: Callable[[ChatWords], Sequence[TokenRow]], output: str, caller: Caller = NOBODY
    ) -> np.ndarray:
        """(rows,) the graph's one output for the rows that `rows` lays out. Raises what Batcher.submit raises."""
        # A full queue refuses before a word is tokenised.
        self._batcher.check(**vars(caller))
        laid = await asyncio.to_thread(rows, self._words)
        pieces = pieces_of(laid, self._turn)
        longest = max((piece.tokens for piece in pieces), default=0)
        if longest > self._turn:
            raise TooLong("row", longest, self._turn, "tokens")
        found = await self._batcher.submit(pieces, costs_of(pieces), **vars(caller))
        return np.concatenate(found)

    def _run(self, pieces: Sequence[Piece]) -> list[np.ndarray]:
        return [self._reader.values(piece.context, piece.answers)[:, 0] for piece in pieces]


def costs_of(pieces: Sequence[Piece]) -> list[int]:
    """Tokens that each piece adds to what waits: of a context that the piece before it holds and reads, none."""
    befores = (None, *(piece.context for piece in pieces))
    return [
        piece.tokens - (len(piece.context) if piece.context is before else 0)
        for piece, before in zip(pieces, befores, strict=False)
    ]


def pieces_of(rows: Sequence[TokenRow], most: int) -> list[Piece]:
    """Rows of one request, in order, as pieces of at most so many tokens (one answer at least). Those with equal
    contexts hold one and the same."""
    found: list[Piece] = []
    for row in rows:
        cut = sum(kind == 0 for kind in row.types)
        context, answer = row.ids[:cut], row.ids[cut:]
        last = found[-1] if found else None
        if last and last.context == context:
            context = last.context
        if last and last.context is context and last.tokens + len(answer) <= most:
            found[-1] = Piece(context, (*last.answers, answer))
        else:
            found.append(Piece(context, (answer,)))
    return found


def load(settings: ModelSettings, batch: BatchSettings, clock: Clock, metrics: Metrics) -> CausalModel:
    """The model of a folder. Blocks for about a second. Raises BadSettings, BadFile, DataLoss, and what Decoder
    raises."""
    if settings.device != "cpu":
        raise BadSettings(f"a causal model is read on the CPU, not on {settings.device}", field="device")
    if settings.backend not in (AUTO, "onnx"):
        said = f"a causal model is read in this process: its backend is onnx, not {settings.backend}"
        raise BadSettings(said, field="backend")
    assert settings.folder is not None
    if (settings.folder / FACTS).is_file() and not (settings.folder / EXPORTED["policy"]).is_file():
        raise BadFile(f"{settings.folder} holds an encoder, which head: bt reads", file=EXPORTED["policy"])
    folder = verified(settings.folder, settings.digest)
    import onnxruntime_genai

    text = ChatText(onnxruntime_genai.Tokenizer(str(folder.path)), control_tokens(folder.path))
    words = ChatWords(text.chat, lambda texts: [text.text(each) for each in texts])
    return CausalModel(
        Decoder(folder.path, settings.threads or min(2, cores())),
        folder.digest,
        words,
        folder.facts,
        batch,
        clock,
        partial(observe, metrics),
        metrics["batch_given_up_total"].inc,
    )

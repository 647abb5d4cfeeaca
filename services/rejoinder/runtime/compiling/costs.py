"""What a variant costs and gains: its outputs beside those of fp32 on the same rows, and tokens a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.runtime.backends import Backend

Batch = Mapping[str, np.ndarray]
#: Texts whose order about each other is compared, of an embedding: their number cubed.
_NEIGHBOURS = 64
#: Real tokens that speed is measured on: some five seconds of one core for a small encoder.
_TIMED = 6_000
#: A doubling of threads is worth having from here on.
_WORTH = 1.15


@dataclass(frozen=True)
class Exactness:
    """Beside fp32. cosine: of all values of an output, by output. agreement: share of pairs of rows that a score puts
    in the same order, of pairs of texts that an embedding puts at the same side of a third, of rows that get the same
    polarity; nan for a graph with none of these outputs. difference: greatest of a value, in standard deviations."""

    cosine: Mapping[str, float]
    agreement: float
    difference: float

    @property
    def least(self) -> float:
        return min(self.cosine.values())


@dataclass(frozen=True)
class Speed:
    """Real tokens, without padding, by the wall's clock and by the processor's."""

    threads: int
    tokens_per_s: float
    tokens_per_cpu_s: float


def exactness(fp32: Sequence[Batch], other: Sequence[Batch], batches: Sequence[Batch]) -> Exactness:
    """fp32, other: all outputs for each of the batches."""
    cosine, difference = {}, 0.0
    for name in fp32[0]:
        mine = np.concatenate([_real(name, out, batch) for out, batch in zip(fp32, batches, strict=True)])
        its = np.concatenate([_real(name, out, batch) for out, batch in zip(other, batches, strict=True)])
        cosine[name] = float(mine @ its / max(float(np.linalg.norm(mine) * np.linalg.norm(its)), 1e-30))
        difference = max(difference, float(np.abs(mine - its).max() / max(float(mine.std()), 1e-30)))
    return Exactness(cosine, _agreement(_joined(fp32), _joined(other)), difference)


def _real(name: str, outputs: Batch, batch: Batch) -> np.ndarray:
    """An output's values in fp64, flat; of one for each token only those of real tokens."""
    values, mask = np.asarray(outputs[name], np.float64), batch["attention_mask"]
    if values.ndim == 3 and values.shape[:2] == mask.shape:
        values = values[mask == 1]
    return values.reshape(-1)


def _joined(outputs: Sequence[Batch]) -> dict[str, np.ndarray]:
    """Those outputs of which every row has one."""
    return {
        name: np.concatenate([np.asarray(out[name], np.float64) for out in outputs])
        for name in ("score", "embedding", "polarity")
        if name in outputs[0]
    }


def _agreement(mine: Mapping[str, np.ndarray], its: Mapping[str, np.ndarray]) -> float:
    if "score" in mine:
        return _ordered_alike(mine["score"][None], its["score"][None])
    if "embedding" in mine:
        return _ordered_alike(_similar(mine["embedding"]), _similar(its["embedding"]))
    if "polarity" in mine:
        return float((mine["polarity"].argmax(1) == its["polarity"].argmax(1)).mean())
    return float("nan")


def _similar(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors[:_NEIGHBOURS]
    return vectors @ vectors.T


def _ordered_alike(mine: np.ndarray, its: np.ndarray) -> float:
    """Of (n, m) values: the share of pairs in a row that both order alike, of those that fp32 tells apart."""
    first, second = np.triu_indices(mine.shape[1], 1)
    a, b = np.sign(mine[:, first] - mine[:, second]), np.sign(its[:, first] - its[:, second])
    return float((a == b)[a != 0].mean())


def speed(graph: Backend, threads: int, batches: Sequence[Batch], *, least_s: float) -> Speed:
    """Over a sample of the batches; after one pass that does not count as many as fill least_s, at least two, and the
    quickest of them."""
    batches = batches[:: max(1, sum(batch["attention_mask"].size for batch in batches) // _TIMED)]
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    _pass(graph, batches)
    taken: list[tuple[float, float]] = []
    while len(taken) < 2 or sum(wall for wall, _ in taken) < least_s:
        wall, cpu = time.perf_counter(), time.process_time()
        _pass(graph, batches)
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return Speed(threads, tokens / min(wall for wall, _ in taken), tokens / max(min(cpu for _, cpu in taken), 1e-9))


def _pass(graph: Backend, batches: Sequence[Batch]) -> None:
    for batch in batches:
        graph.infer(batch)


def quickest(found: Sequence[Speed]) -> Speed:
    """Of speeds by rising threads: the last whose threads were worth having, at least 15 % more for each doubling."""
    best = found[0]
    for one in found[1:]:
        if one.tokens_per_s >= best.tokens_per_s * _WORTH ** np.log2(one.threads / best.threads):
            best = one
    return best

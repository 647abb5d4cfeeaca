"""What a variant costs and gains: its outputs beside those of fp32 on the same rows, and tokens a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from rejoinder.runtime.backends import Backend

Batch = Mapping[str, np.ndarray]
#: Texts whose order about each other is compared, of an embedding: their number cubed.
_NEIGHBOURS = 64
#: Real tokens that speed is measured on: some five seconds of one core for a small encoder.
_TIMED = 6_000
_NEARLY = 0.9


@dataclass(frozen=True)
class Exactness:
    """Beside fp32. cosine: of all values of an output, by output; correlation: the same of each column less its mean
    (an offset would hide what is lost). agreement: share of pairs of rows that a score puts in the same order, of pairs
    of texts that an embedding puts at the same side of a third, of rows that get the same polarity; nan for a graph
    with none of these outputs. difference: greatest of a value, in standard deviations."""

    cosine: Mapping[str, float]
    correlation: Mapping[str, float]
    agreement: float
    difference: float

    @property
    def least(self) -> float:
        return float(np.min([*self.cosine.values(), *self.correlation.values()]))


@dataclass(frozen=True)
class Speed:
    """Real tokens, without padding, by the wall's clock and the processor's. threads: of a run; lanes: runs at once."""

    threads: int
    lanes: int
    tokens_per_s: float
    tokens_per_cpu_s: float


def exactness(fp32: Sequence[Batch], other: Sequence[Batch], batches: Sequence[Batch]) -> Exactness:
    """fp32, other: all outputs for each of the batches."""
    cosine, correlation, differences = {}, {}, []
    for name in fp32[0]:
        mine = np.concatenate([_real(name, out, batch) for out, batch in zip(fp32, batches, strict=True)])
        its = np.concatenate([_real(name, out, batch) for out, batch in zip(other, batches, strict=True)])
        cosine[name] = _cosine(mine, its)
        correlation[name] = _cosine(mine - mine.mean(0), its - its.mean(0))
        differences.append(float(np.abs(mine - its).max()) / float(mine.std()) if mine.std() else float("nan"))
    return Exactness(cosine, correlation, _agreement(_joined(fp32), _joined(other)), max(differences))


def _cosine(mine: np.ndarray, its: np.ndarray) -> float:
    """1 where both are zero, nan where one is."""
    if not mine.any() and not its.any():
        return 1.0
    norms = float(np.linalg.norm(mine) * np.linalg.norm(its))
    return float(mine.ravel() @ its.ravel()) / norms if norms else float("nan")


def _real(name: str, outputs: Batch, batch: Batch) -> np.ndarray:
    """An output's values in fp64, (values, columns); of one for each token only those of real tokens."""
    values, mask = np.asarray(outputs[name], np.float64), batch["attention_mask"]
    if values.ndim == 3 and values.shape[:2] == mask.shape:
        values = values[mask == 1]
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)


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
    told = a != 0
    return float((a == b)[told].mean()) if told.any() else float("nan")


def speed(graph: Backend, threads: int, lanes: int, batches: Sequence[Batch], *, least_s: float) -> Speed:
    """Over a sample of the batches; after one pass that does not count as many as fill least_s, at least two, and the
    quickest of them."""
    batches = batches[:: max(1, sum(batch["attention_mask"].size for batch in batches) // _TIMED)]
    # Enough for all lanes to be at work for most of a pass.
    batches = list(batches) * -(-8 * lanes // len(batches))
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    taken: list[tuple[float, float]] = []
    with ThreadPoolExecutor(lanes) as pool:

        def one_pass() -> None:
            for _ in pool.map(graph.infer, batches):
                pass

        one_pass()
        while len(taken) < 2 or sum(wall for wall, _ in taken) < least_s:
            wall, cpu = time.perf_counter(), time.process_time()
            one_pass()
            taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    fastest, cheapest = (min(column) for column in zip(*taken, strict=True))
    return Speed(threads, lanes, tokens / fastest, tokens / max(cheapest, 1e-9))


def quickest(found: Sequence[Speed]) -> Speed:
    """The one of most tokens a second; of those that are within a tenth of it the one with most threads, by which a row
    alone is answered soonest."""
    most = max(one.tokens_per_s for one in found)
    return max((one for one in found if one.tokens_per_s >= _NEARLY * most), key=lambda one: one.threads)

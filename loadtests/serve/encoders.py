"""Reward and rerank with an encoder, mixed lengths, sixteen callers: through our services over gRPC, beside Infinity
and Text Embeddings Inference over HTTP and beside our own services with batches as they come (32 rows in order of
arrival, padded to the longest)."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import median, pstdev
from typing import Any

from rejoinder.core.ids import uuid7
from rejoinder.v1 import common_pb2, rerank_pb2, reward_pb2

from loadtests.processes import Measured, python_of
from loadtests.report import Row
from loadtests.serve.callers import Call, Http, Rpc, closed, opened
from loadtests.serve.compiled import compiled
from loadtests.serve.measure import Found, Side, Stopwatch, Taken, alternated, compared, tail
from loadtests.serve.models import Models
from loadtests.serve.peers import tei as router_of
from loadtests.serve.shared import ASLEEP, START_S, THREADS, NotEqual
from loadtests.work.texts import text

CALLERS = 16
SERVICES = ("reward", "rerank")
#: Of a round; pairs of a rerank request.
REWARD_REQUESTS, RERANK_REQUESTS, CANDIDATES = 48, 16, 4
#: On which two precisions are compared: of CANDIDATES each, six pairs.
AGREEMENT_REQUESTS = 48
#: Of the slowest side's rate: what all are offered where their tails are compared.
OFFERED = 0.7
#: What each peer's manual offers; the search among them is said. Infinity's are rows of a batch; TEI's are tokens, the
#: last more than the eight rows that it takes at most on a processor can have.
BATCH_SIZES, BATCH_TOKENS = (8, 16, 32), (512, 1024, 4096)
NO_TEI = 'no program is given (BENCH="--tei PROGRAM")'
_INFINITY = {
    **ASLEEP,
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}
_FIFO = {"BATCH__MAX_ROWS": "32", "BATCH__WINDOW": "32", "BATCH__MAX_TOKENS": str(32 * 512)}


@dataclass(frozen=True)
class Pairs:
    """A request: a query and what is scored beside it."""

    query: str
    documents: Sequence[str]


def pairs(turn: int, requests: int, each: int) -> list[Pairs]:
    """Log-normal lengths: some 100 tokens in the mean, 75 in the middle, 310 at the most."""
    draw = random.Random(turn)
    return [Pairs(text(draw, 10, 0.5, 30), [text(draw, 58, 0.8, 270) for _ in range(each)]) for _ in range(requests)]


def infinity(folder: Path, models: Models, batch_size: int, dtype: str) -> Measured:
    command = ("-m", "loadtests.serve.peers.infinity", str(models.classifier_hf), str(batch_size), dtype)
    name = f"infinity-{dtype}-{batch_size}"
    return Measured(name, folder, command, _INFINITY, python=python_of("infinity"), start_s=START_S)


def tei(folder: Path, router: Path, model: Path, max_batch_tokens: int) -> Measured:
    command = ("-m", "loadtests.serve.peers.tei", str(router), str(model), str(max_batch_tokens), str(THREADS))
    return Measured(f"tei-{max_batch_tokens}", folder, command, start_s=START_S)


def ours(folder: Path, service: str, model: Path, batch: Mapping[str, str], name: str) -> Measured:
    prefix = f"REJOINDER_{service.upper()}__"
    model_at = "MODEL" if service == "reward" else "REWARD"
    settings = {f"{model_at}__FOLDER": str(model), f"{model_at}__THREADS": str(THREADS), "SERVER__PORT": "0", **batch}
    if service == "rerank":
        # Its slates wait in the spool: that the log is away delays nobody.
        settings |= {"RANKERS": '["reward"]', "RECORD__SPOOL": str(folder / f"{name}-spool"), "RECORD__DRAIN_S": "0"}
    environment = {prefix + key: value for key, value in settings.items()}
    return Measured(name, folder, ("-m", f"rejoinder.{service}"), environment, f"{prefix}SERVER__READY_FILE")


#: A connected client: one request's scores, in order; and how it is closed.
Client = tuple[Callable[[Pairs], Any], Callable[[], Any]]


def reward_client(port: int) -> Client:
    rpc = Rpc(port, "/rejoinder.v1.RewardService/Score", reward_pb2.ScoreResponse.FromString)

    async def ask(said: Pairs) -> list[float]:
        messages = [common_pb2.Message(role=common_pb2.ROLE_USER, content=said.query)]
        return list((await rpc.call(reward_pb2.ScoreRequest(messages=messages, responses=said.documents))).scores)

    return ask, rpc.close


def rerank_client(port: int) -> Client:
    rpc = Rpc(port, "/rejoinder.v1.RerankService/Rerank", rerank_pb2.RerankResponse.FromString)

    async def ask(said: Pairs) -> list[float]:
        candidates = [rerank_pb2.Candidate(id=str(at), text=each) for at, each in enumerate(said.documents)]
        request = rerank_pb2.RerankRequest(interaction_id=uuid7(), user_id="u", query=said.query, candidates=candidates)
        ranked = (await rpc.call(request)).ranked
        return [one.score for one in sorted(ranked, key=lambda one: int(one.id))]

    return ask, rpc.close


def infinity_client(port: int) -> Client:
    http = Http(port)

    async def ask(said: Pairs) -> list[float]:
        sent = {"model": "m", "query": said.query, "documents": list(said.documents), "raw_scores": True}
        found = (await http.post("/rerank", sent))["results"]
        return [one["relevance_score"] for one in sorted(found, key=lambda one: one["index"])]

    return ask, http.close


def tei_client(port: int) -> Client:
    http = Http(port)

    async def ask(said: Pairs) -> list[float]:
        sent = {"query": said.query, "texts": list(said.documents), "raw_scores": True}
        return [one["score"] for one in sorted(await http.post("/rerank", sent), key=lambda one: one["index"])]

    return ask, http.close


async def _taken(client: Client, asked: Sequence[Pairs], watch: Stopwatch, run: Callable[[list[Call]], Any]) -> Taken:
    ask, close = client
    try:
        latencies = await run([lambda said=said: ask(said) for said in asked])
    finally:
        await close()
    return watch.taken(len(asked), latencies)


def loop_side(name: str, process: Measured, client: Callable[[int], Client], requests: int, each: int) -> Side:
    """A closed loop of CALLERS."""

    async def take(turn: int) -> Taken:
        asked, watch = pairs(turn, requests, each), Stopwatch(process.cpu_us)
        return await _taken(client(process.port), asked, watch, lambda calls: closed(calls, CALLERS))

    return Side(name, lambda turn: asyncio.run(take(turn)))


def offered_side(name: str, process: Measured, client: Callable[[int], Client], requests: int, rate: float) -> Side:
    async def take(turn: int) -> Taken:
        asked, watch = pairs(100 + turn, requests, 1), Stopwatch(process.cpu_us)
        return await _taken(client(process.port), asked, watch, lambda calls: opened(calls, rate, turn))

    return Side(name, lambda turn: asyncio.run(take(turn)))


def scored(
    ours: Measured, peer: Measured, its: Callable[[int], Client], requests: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Both sides' scores of the same requests of CANDIDATES. its: the peer's client."""

    async def scores(process: Measured, client: Callable[[int], Client]) -> list[list[float]]:
        ask, close = client(process.port)
        try:
            return [await ask(said) for said in pairs(0, requests, CANDIDATES)]
        finally:
            await close()

    return asyncio.run(scores(ours, reward_client)), asyncio.run(scores(peer, its))


def check_equal(ours: Measured, peer: Measured, its: Callable[[int], Client], within: float) -> None:
    """Raises NotEqual unless both score the same texts alike."""
    off = apart(*scored(ours, peer, its, 8))
    if off > within:
        raise NotEqual(f"{peer.name} scores the same texts otherwise, by {off:.1e}")


def apart(mine: Sequence[Sequence[float]], its: Sequence[Sequence[float]]) -> float:
    """The greatest difference of a score."""
    return max(abs(a - b) for one, other in zip(mine, its, strict=True) for a, b in zip(one, other, strict=True))


def ordered_alike(mine: Sequence[Sequence[float]], its: Sequence[Sequence[float]]) -> float:
    """Of all pairs of candidates of one request, the share that both put into the same order."""
    found = [
        (one[a] > one[b]) == (other[a] > other[b])
        for one, other in zip(mine, its, strict=True)
        for a, b in combinations(range(len(one)), 2)
    ]
    return sum(found) / len(found)


def agreement(name: str, mine: Sequence[Sequence[float]], its: Sequence[Sequence[float]]) -> list[Row]:
    """What speed costs in exactness: scores in fewer bits beside those of fp32."""
    spread = pstdev(score for each in mine for score in each)
    return [
        Row(f"{name}: candidates in the same order / all pairs", ordered_alike(mine, its), 1.0, "share"),
        Row(f"{name}: greatest difference of a score / their standard deviation", apart(mine, its), spread, "logits"),
    ]


def best_of(settings: Sequence[int], started: Callable[[int], Measured], client: Callable[[int], Client]) -> int:
    """The setting of a peer that answers most a CPU-second; the search is said."""
    rates = []
    for setting in settings:
        with started(setting) as process:
            side = loop_side(process.name, process, client, REWARD_REQUESTS, 1)
            side.take(0)
            taken = [side.take(turn) for turn in (1, 2)]
        rates.append(median(each.units / max(each.cpu_s, 1e-9) for each in taken))
        print(f"{process.name}: {rates[-1]:.1f} requests/CPU-s")
    return settings[rates.index(max(rates))]


def measured(folder: Path, models: Models, rounds: int, router: Path | None = None) -> tuple[list[Row], Found]:
    """router: TEI's program, where there is one. Raises NotEqual, RuntimeError, CalledProcessError."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    best_ours = compiled(models.classifier, folder / "compiled", THREADS)
    best = {
        dtype: best_of(BATCH_SIZES, partial(infinity, folder, models, dtype=dtype), infinity_client)
        for dtype in ("float32", "bfloat16")
    }
    with ExitStack() as stack:
        start = stack.enter_context
        reward = start(ours(folder, "reward", models.classifier, {}, "reward"))
        reward_fifo = start(ours(folder, "reward", models.classifier, _FIFO, "reward-fifo"))
        rerank = start(ours(folder, "rerank", models.classifier, {}, "rerank"))
        rerank_fifo = start(ours(folder, "rerank", models.classifier, _FIFO, "rerank-fifo"))
        fp32, bf16 = (start(infinity(folder, models, size, dtype)) for dtype, size in best.items())
        check_equal(reward, fp32, infinity_client, 1e-3)
        quick = {service: start(ours(folder, service, best_ours.folder, {}, f"{service}-best")) for service in SERVICES}
        exact = partial(scored, reward, requests=AGREEMENT_REQUESTS)
        agreed = [
            *agreement(f"reward, fp32 / ours in {best_ours.precision}", *exact(quick["reward"], reward_client)),
            *agreement("reward, fp32 / Infinity bf16", *exact(bf16, infinity_client)),
        ]
        requests = REWARD_REQUESTS
        peers = {"Infinity": (fp32, infinity_client)}
        if router:
            served = router_of.made(models.classifier, models.classifier_hf, folder / "tei")
            settings = partial(tei, folder, router, served)
            peers["TEI"] = start(settings(best_of(BATCH_TOKENS, settings, tei_client))), tei_client
            check_equal(reward, *peers["TEI"], 1e-4)
        found = dict(
            alternated(
                [
                    loop_side("reward", reward, reward_client, requests, 1),
                    loop_side("reward, FIFO 32", reward_fifo, reward_client, requests, 1),
                    *(loop_side(f"reward, {name}", *peer, requests, 1) for name, peer in peers.items()),
                    loop_side("reward, best", quick["reward"], reward_client, requests, 1),
                    loop_side("reward, Infinity bf16", bf16, infinity_client, requests, 1),
                    loop_side("rerank", rerank, rerank_client, RERANK_REQUESTS, CANDIDATES),
                    loop_side("rerank, FIFO 32", rerank_fifo, rerank_client, RERANK_REQUESTS, CANDIDATES),
                    *(loop_side(f"rerank, {name}", *peer, RERANK_REQUESTS, CANDIDATES) for name, peer in peers.items()),
                    loop_side("rerank, best", quick["rerank"], rerank_client, RERANK_REQUESTS, CANDIDATES),
                    loop_side("rerank, Infinity bf16", bf16, infinity_client, RERANK_REQUESTS, CANDIDATES),
                ],
                rounds,
            )
        )
        alike = ("reward", *(f"reward, {name}" for name in peers))
        rate = OFFERED * min(median(t.units / t.wall_s for t in found[name]) for name in alike)
        found |= alternated(
            [
                offered_side("reward, offered", reward, reward_client, requests, rate),
                offered_side("reward, offered, best", quick["reward"], reward_client, requests, rate),
                offered_side("reward, offered, Infinity bf16", bf16, infinity_client, requests, rate),
                *(offered_side(f"reward, offered, {name}", *peer, requests, rate) for name, peer in peers.items()),
            ],
            rounds,
        )
    rows = []
    for what, shape in (("reward", "1 answer"), ("rerank", f"{CANDIDATES} candidates")):
        name = f"{what}, {shape}, {CALLERS} callers, fp32"
        rows += compared(f"{name} / Infinity fp32", found, what, f"{what}, Infinity", "requests", 1.3)
        rows += beside_tei(
            found, what, lambda its, n=name, w=what: compared(f"{n} / TEI", found, w, its, "requests", 1.3)
        )
        rows += compared(f"{name} / FIFO-32 padded", found, what, f"{what}, FIFO 32", "requests", 2.5)
        name = f"{what}, {shape}, best precision ({best_ours.precision}) / Infinity bf16"
        rows += compared(name, found, f"{what}, best", f"{what}, Infinity bf16", "requests", 1.3)
    rows += best_ours.rows("reward")
    rows += agreed
    name, mine = f"reward, p99 at {rate:.1f} requests/s offered to each", "reward, offered"
    rows.append(tail(f"{name} / Infinity fp32", found, mine, f"{mine}, Infinity", 1.0))
    rows.append(tail(f"{name}, best precisions / Infinity bf16", found, f"{mine}, best", f"{mine}, Infinity bf16", 1.0))
    return [*rows, *beside_tei(found, mine, lambda its: [tail(f"{name} / TEI", found, mine, its, 1.0)])], found


def beside_tei(found: Found, ours: str, rows: Callable[[str], Sequence[Row]]) -> Sequence[Row]:
    """rows: the peer's side → ours beside it. Where it was not run they say so, and what ours took."""
    its = f"{ours}, TEI"
    return rows(its) if its in found else [replace(row, not_run=NO_TEI) for row in rows(ours)]

"""Tokens a second of eight answers that stream over gRPC and are recorded, beside the runtime's own loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from rejoinder.v1 import common_pb2, policy_pb2

from loadtests.processes import ROOT, Measured, cpu_us_of
from loadtests.report import Row
from loadtests.serve.callers import Rpc, closed
from loadtests.serve.measure import Found, Side, Stopwatch, Taken, alternated, compared
from loadtests.serve.models import Models
from loadtests.serve.shared import ASLEEP, START_S, THREADS, policy, words
from tests.system.policy.world import World

STREAMS, ANSWERS = 8, 16
TOKENS = 64
#: About as many tokens as the answer has.
PROMPT_WORDS, PROMPT = 36, 64
FIRSTS = 12
GENERATE = "/rejoinder.v1.PolicyService/Generate"
#: What the first token may take beside the runtime's own.
FIRST_MS = 5.0


async def _streamed(port: int, turn: int, streams: int, answers: int, tokens: int) -> tuple[int, list[float]]:
    """Tokens written, and seconds to the first text of each answer."""
    rpc = Rpc(port, GENERATE, policy_pb2.GenerateResponse.FromString)
    loop, written, firsts = asyncio.get_running_loop(), 0, []

    def request(number: int) -> policy_pb2.GenerateRequest:
        draw = random.Random(f"{turn}/{streams}/{number}")
        message = common_pb2.Message(role=common_pb2.ROLE_USER, content=words(draw, PROMPT_WORDS))
        sampling = common_pb2.Sampling(temperature=1.0, max_tokens=tokens, seed=draw.getrandbits(40))
        return policy_pb2.GenerateRequest(messages=[message], user_id=f"u{number}", sampling=sampling)

    async def ask(number: int) -> None:
        nonlocal written
        said, began, first = request(number), loop.time(), 0.0
        async for part in rpc.stream(said):
            kind = part.WhichOneof("part")
            if kind == "text":
                first = first or loop.time() - began
            elif kind == "end":
                written += part.end.completion_tokens
        firsts.append(first)

    try:
        await closed([lambda number=number: ask(number) for number in range(answers)], streams)
    finally:
        await rpc.close()
    return written, firsts


def served(name: str, world: World, streams: int, answers: int, tokens: int = TOKENS) -> Side:
    process = world.policy
    assert process is not None

    def take(turn: int) -> Taken:
        watch = Stopwatch(lambda: cpu_us_of(process.pid))
        written, firsts = asyncio.run(_streamed(process.port, turn, streams, answers, tokens))
        return watch.taken(written, firsts)

    return Side(name, take)


def bare(name: str, process: Measured, batch: int, answers: int, tokens: int = TOKENS) -> Side:
    def take(turn: int) -> Taken:
        asked: Mapping[str, Any] = {"batch": batch, "prompt": PROMPT, "tokens": tokens}
        found = [process.ask({**asked, "seed": 1000 * turn + at}) for at in range(answers // batch)]
        cpu, wall = sum(each["cpu_s"] for each in found), sum(each["wall_s"] for each in found)
        return Taken(sum(each["written"] for each in found), cpu, wall, tuple(each["first_s"] for each in found))

    return Side(name, take)


def measured(folder: Path, models: Models, rounds: int) -> tuple[list[Row], Found]:
    rows: list[Row] = []
    found: dict[str, Any] = {}
    bases = {
        "15 M": (models.policy, models.policy_hf),
        "embedded, 2 M": (ROOT / "build" / "models" / "policy", ROOT / "build" / "models" / "base"),
    }
    for base, (export, weights) in bases.items():
        with ExitStack() as stack:
            work = folder / base.partition(" ")[0].strip(",")
            work.mkdir()
            world = stack.enter_context(policy(work, export))
            command = ("-m", "loadtests.serve.peers.raw_engine", str(export), str(THREADS))
            raw = stack.enter_context(Measured("raw", work, command, start_s=START_S, answers=True))
            command = ("-m", "loadtests.serve.peers.transformers_generate", str(weights), str(THREADS), "bfloat16")
            torch = stack.enter_context(Measured("transformers", work, command, ASLEEP, start_s=START_S, answers=True))
            sides = [
                served(f"{base}: 8 streams", world, STREAMS, ANSWERS),
                served(f"{base}: one at a time", world, 1, 4),
                bare(f"{base}: raw loop", raw, STREAMS, ANSWERS),
                bare(f"{base}: transformers bf16", torch, STREAMS, STREAMS),
                served(f"{base}: first", world, 1, FIRSTS, 2),
                bare(f"{base}: raw first", raw, 1, FIRSTS, 2),
            ]
            found |= alternated(sides, rounds)
        ours, name = f"{base}: 8 streams", f"generation, {base} weights, 8 streams"
        rows += compared(f"{name} / the runtime's own loop", found, ours, f"{base}: raw loop", "tokens", 0.95)
        rows += compared(f"{name} / one at a time", found, ours, f"{base}: one at a time", "tokens", 2.5)
        rows += compared(f"{name} / transformers bf16", found, ours, f"{base}: transformers bf16", "tokens", None)
        late, spent = (
            {side: median(of(found[side])) * 1e3 for side in (f"{base}: first", f"{base}: raw first")}
            for of in (_waited, _spent)
        )
        for what, took in (("clock", late), ("CPU", spent)):
            over = took[f"{base}: first"] - took[f"{base}: raw first"]
            name = f"first token, {base} weights, p50 over the runtime's own / allowed, {what}"
            rows.append(Row(name, over, FIRST_MS, "ms", 1.0))
    return rows, found


def _waited(taken: Sequence[Taken]) -> list[float]:
    """Seconds to the first token, of all rounds' answers."""
    return [seconds for each in taken for seconds in each.latencies]


def _spent(taken: Sequence[Taken]) -> list[float]:
    """CPU-seconds of an answer of two tokens, a round each."""
    return [each.cpu_s / len(each.latencies) for each in taken]

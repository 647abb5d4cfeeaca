"""Answers to one context, follow-ups to one answer: the context is read once, beside a full row for each."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rejoinder.v1 import common_pb2, policy_pb2, reward_pb2

from loadtests.processes import Measured, cpu_us_of, ends_with_us
from loadtests.report import Row
from loadtests.serve.callers import Rpc
from loadtests.serve.measure import Found, Side, Stopwatch, Taken, alternated, compared
from loadtests.serve.models import Models
from loadtests.work.texts import text
from tests.system.policy.world import World

SCORE = "/rejoinder.v1.RewardService/Score"
LIKELIHOOD = "/rejoinder.v1.PolicyService/Likelihood"
THREADS = 2
#: Of peers that import torch on a busy machine.
START_S = 300.0
#: Threads of torch that wait asleep: the other way costs it most of its speed on shared cores.
ASLEEP = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
#: The tokenizer makes some 1.5 tokens of a word: about 1,024 before, 64 in an answer, 16 in a follow-up.
CONTEXT_WORDS, ANSWER_WORDS, FOLLOWUP_WORDS = 682, 44, 10
#: What both ways may differ by.
EQUAL = 1e-4


class NotEqual(RuntimeError):
    """Both ways must say the same: the figures would be of something else."""


def words(draw: random.Random, count: int) -> str:
    return text(draw, count, spread=0.0, most=count)


def asked(turn: int, words_before: int, answers: int, each: int) -> tuple[str, list[str]]:
    draw = random.Random(turn)
    return words(draw, words_before), [words(draw, each) for _ in range(answers)]


@contextmanager
def reward(folder: Path, model: Path) -> Iterator[Measured]:
    environment = {"HEAD": "causal", "MODEL__FOLDER": str(model), "MODEL__THREADS": str(THREADS), "SERVER__PORT": "0"}
    prefix = "REJOINDER_REWARD__"
    settings = {prefix + name: value for name, value in environment.items()}
    with Measured("causal", folder, ("-m", "rejoinder.reward"), settings, f"{prefix}SERVER__READY_FILE") as process:
        yield process


@contextmanager
def policy(folder: Path, export: Path) -> Iterator[World]:
    world = World(folder, {"ENGINE__THREADS": str(THREADS)}, export=export, first=ends_with_us(signal.SIGKILL))
    try:
        yield world.start()
    finally:
        world.close()


def naive(folder: Path, kind: str, model: Path) -> Measured:
    command = ("-m", "loadtests.serve.peers.full_rows", kind, str(model), str(THREADS))
    return Measured(f"full-rows-{kind}", folder, command, start_s=START_S, answers=True)


async def _once(port: int, path: str, answer: object, request: object) -> object:
    rpc = Rpc(port, path, answer, channels=1)
    try:
        return await rpc.call(request)
    finally:
        await rpc.close()


def measured(folder: Path, models: Models, rounds: int) -> tuple[list[Row], Found]:
    """Raises NotEqual."""
    values: dict[tuple[str, int], Sequence[float]] = {}
    sizes: dict[str, Sequence[float]] = {}

    def served(kind: str, port: int, cpu_us: object, size: tuple[int, int, int]) -> Side:
        def take(turn: int) -> Taken:
            context, answers = asked(turn, *size)
            messages = [common_pb2.Message(role=common_pb2.ROLE_USER, content=context)]
            watch = Stopwatch(cpu_us)
            if kind == "reward":
                request = reward_pb2.ScoreRequest(messages=messages, responses=answers)
                found = asyncio.run(_once(port, SCORE, reward_pb2.ScoreResponse.FromString, request)).scores
            else:
                request = policy_pb2.LikelihoodRequest(messages=messages, continuations=answers)
                answer = policy_pb2.LikelihoodResponse.FromString
                found = asyncio.run(_once(port, LIKELIHOOD, answer, request)).log_probs
            taken = watch.taken(len(answers))
            _same(values, (kind, turn), list(found))
            return taken

        return Side(f"{kind}, read once", take)

    def full(kind: str, process: Measured, size: tuple[int, int, int]) -> Side:
        def take(turn: int) -> Taken:
            context, answers = asked(turn, *size)
            # Each costs the same: a quarter of them tells what all would.
            part = answers[: len(answers) // 4]
            found = process.ask({"context": context, "answers": part})
            _same(values, (kind, turn), found["values"])
            sizes[kind] = found["tokens"]
            return Taken(len(part), found["cpu_s"], found["wall_s"])

        return Side(f"{kind}, full rows", take)

    answers, followups = (CONTEXT_WORDS, 8, ANSWER_WORDS), (CONTEXT_WORDS, 32, FOLLOWUP_WORDS)
    with reward(folder, models.reward) as ours, naive(folder, "reward", models.reward) as peer:
        sides = [served("reward", ours.port, ours.cpu_us, answers), full("reward", peer, answers)]
        found = dict(alternated(sides, rounds))
    with policy(folder / "policy", models.policy) as world, naive(folder, "policy", models.policy) as peer:
        process = world.policy
        sides = [
            served("policy", process.port, lambda: cpu_us_of(process.pid), followups),
            full("policy", peer, followups),
        ]
        found.update(alternated(sides, rounds))

    def said(kind: str, what: str) -> str:
        return what.format(round(sizes[kind][1]), round(sizes[kind][0]))

    rows = [
        *compared(
            said("reward", "Reward.Score, 8 answers of {} tokens on {} / full rows"),
            found,
            "reward, read once",
            "reward, full rows",
            "answers",
            4.5,
        ),
        *compared(
            said("policy", "Policy.Likelihood (FLR), 32 follow-ups of {} tokens on {} / full rows"),
            found,
            "policy, read once",
            "policy, full rows",
            "follow-ups",
            12.0,
        ),
    ]
    return rows, found


def _same(values: dict[tuple[str, int], Sequence[float]], key: tuple[str, int], found: Sequence[float]) -> None:
    other = values.setdefault(key, found)
    off = max(abs(a - b) for a, b in zip(other, found, strict=False))
    if off > EQUAL:
        raise NotEqual(f"{key[0]}: full rows say otherwise by {off:.1e}")

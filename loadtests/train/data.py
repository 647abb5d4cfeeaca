"""Pairs of given lengths with random tokens: the same for every side, as ids and as the words that encode to them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.training.examples import Example


@dataclass(frozen=True)
class Lengths:
    """Tokens of a pair: its prompt and both answers, each with the token that ends it."""

    prompt: int
    chosen: int
    rejected: int

    @property
    def shared(self) -> int:
        """Of a row that holds the prompt once."""
        return self.prompt + self.chosen + self.rejected


def of_ratio(prompt: int, answer: int, count: int) -> list[Lengths]:
    """All alike; the rejected answer has four fifths of the chosen one's tokens."""
    return [Lengths(prompt, answer, answer * 4 // 5)] * count


def log_uniform(count: int, seed: int = 0) -> list[Lengths]:
    """Prompts of 32 to 1024 and answers of 16 to 256 tokens. Each of the three is spread evenly over its range (one
    draw to each of `count` equal parts of its logarithm), in an order of its own: few pairs stand for many."""
    draw = random.Random(seed)

    def spread(low: int, high: int) -> list[int]:
        parts = [(i + draw.random()) / count for i in range(count)]
        draw.shuffle(parts)
        return [round(math.exp(math.log(low) + part * (math.log(high) - math.log(low)))) for part in parts]

    return [Lengths(*each) for each in zip(spread(32, 1024), spread(16, 256), spread(16, 256), strict=True)]


def examples(lengths: Sequence[Lengths], vocabulary: int, seed: int = 0) -> list[Example]:
    """Random tokens; every answer ends with the token that ends a turn (0), which stands nowhere else."""
    draw = random.Random(seed)

    def words(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(1, vocabulary) for _ in range(count))

    made = []
    for number, each in enumerate(lengths):
        answers = ((*words(each.chosen - 1), 0), (*words(each.rejected - 1), 0))
        made.append(Example(str(number), str(number), words(each.prompt), answers, 1.0, 0.0, math.nan))
    return made


def text(ids: Sequence[int]) -> str:
    """What encodes to `ids`; the token that ends a turn is left to whoever trains."""
    return " ".join(f"w{number}" for number in ids if number)

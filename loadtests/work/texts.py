"""Texts of the lengths that people write: log-normal, made from a seed. No real person's words."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from rejoinder.v1 import common_pb2

_SAID = (
    "please say how long the eggs boil and whether water with salt is hotter than without it because my kitchen lies "
    "high above the sea and nothing gets done there in time could you also give the temperature in Celsius thanks"
)


def text(draw: random.Random, median_words: float, spread: float = 0.6, most: int = 200) -> str:
    """median_words: of the log-normal; spread: its sigma; most: words at the most."""
    count = round(median_words * math.exp(spread * draw.gauss(0.0, 1.0)))
    return " ".join(draw.choices(_SAID.split(), k=min(max(count, 1), most)))


def said(*turns: str) -> Sequence[common_pb2.Message]:
    """Turns of a user and an assistant, the user's first."""
    roles = (common_pb2.ROLE_USER, common_pb2.ROLE_ASSISTANT)
    return [common_pb2.Message(role=roles[at % 2], content=turn) for at, turn in enumerate(turns)]

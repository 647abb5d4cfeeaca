"""cli/demo/rewards: two heads from two sides of the rounds' pairs; where they part, what was learnt is an accident."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.cli.demo.rewards import LEAST, rewards
from rejoinder.core.types import Candidate, Message, Preference, Role
from rejoinder.registry import datasets

BRIEF = "It is tall."
LONG = "It is tall, and there is much more to be told of it by whoever has the time for so many words."
BOLD = "Splendidly tall indeed!"
QUESTIONS = ["How tall is it?"] * 40


def a_side(data: Path, side: str, chosen: str, rejected: str, count: int, number: int = 1) -> None:
    texts = (Candidate(chosen), Candidate(rejected))
    asked = (Message(Role.USER, "How tall is it?"),)
    users = [f"{side}-{number}-{i}" for i in range(count)]
    made = [Preference(f"p-{user}", asked, texts, tenant="default", user_id=user) for user in users]
    datasets.write(data / "rounds" / "assist" / f"{number:06d}" / f"{side}-key", side, made, b"s", {}, {}, 0.0)


def answers() -> dict[str, list[str]]:
    mixed = [BRIEF if i % 2 else LONG for i in range(40)]
    return {"base": mixed, "brief": [BRIEF] * 40, "bold": [BOLD] * 40}


def test_a_version_that_both_sides_users_like_rises_by_both_heads_and_the_base_is_nought(tmp_path: Path) -> None:
    a_side(tmp_path, "pairs", BRIEF, LONG, LEAST, 1)
    a_side(tmp_path, "pairs", BRIEF, LONG, 30, 2)
    a_side(tmp_path, "gate", BRIEF, LONG, LEAST)
    found = rewards(tmp_path, "assist", QUESTIONS, answers(), "base")
    assert found.of_version["base"] == pytest.approx({"train": 0.0, "gate": 0.0})
    assert found.of_version["brief"] == pytest.approx({"train": 1.0, "gate": 1.0})
    assert found.heads == {
        "train": {"pairs": LEAST + 30, "users": LEAST + 30},
        "gate": {"pairs": LEAST, "users": LEAST},
    }


def test_what_the_training_users_alone_like_parts_the_heads(tmp_path: Path) -> None:
    """What the plot is for: the training head climbs to a habit that the gate's users do not share."""
    a_side(tmp_path, "pairs", BOLD, BRIEF, LEAST)
    a_side(tmp_path, "gate", BRIEF, BOLD, LEAST)
    bold = rewards(tmp_path, "assist", QUESTIONS, answers(), "base").of_version["bold"]
    assert bold["train"] > 0.5 > 0 > bold["gate"]


def test_a_head_of_too_few_pairs_is_none(tmp_path: Path) -> None:
    a_side(tmp_path, "pairs", BRIEF, LONG, LEAST)
    a_side(tmp_path, "gate", BRIEF, LONG, LEAST - 1)
    a_side(tmp_path, "evaluation", BRIEF, LONG, LEAST)
    found = rewards(tmp_path, "assist", QUESTIONS, answers(), "base")
    assert found.of_version["brief"]["train"] > 0
    assert found.of_version["brief"]["gate"] is None
    nothing = rewards(tmp_path / "none", "assist", QUESTIONS, answers(), "base")
    assert nothing.of_version["bold"] == {"train": None, "gate": None}
    assert nothing.heads["train"] == {"pairs": 0, "users": 0}

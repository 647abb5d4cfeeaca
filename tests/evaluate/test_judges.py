"""evaluate/judges: what a head is asked, what a server is shown and said to have said, and both orders."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from rejoinder.core.types import Message, Role
from rejoinder.evaluate.judges import SHOWN_CHARS, Asked, ChatJudge, OrderAveraged, ScoreJudge, talk_of, verdict_of

PROMPT = (Message(Role.USER, "Rice?"), Message(Role.ASSISTANT, "Yes"), Message(Role.USER, "How?"))


def asked(first: str, second: str) -> Asked:
    return Asked(PROMPT, first, second)


def test_a_head_scores_every_answer_once() -> None:
    seen: list[str] = []

    def score(answers: Sequence[tuple[object, str]]) -> np.ndarray:
        seen.extend(text for _, text in answers)
        return np.array([float(len(text)) for _, text in answers])

    assert ScoreJudge(score).prefers([asked("aaa", "b"), asked("b", "aaa"), asked("b", "b")]).tolist() == [2, -2, 0]
    assert sorted(seen) == ["aaa", "b"]


@pytest.mark.parametrize(
    ("said", "value"), [("FIRST", 1), ("second.", -1), ('"Tie"', 0), ("Neither", None), ("", None), (None, None)]
)
def test_a_servers_words_are_a_verdict_or_none(said: str | None, value: float | None) -> None:
    found = verdict_of(said)
    assert math.isnan(found) if value is None else found == value


def test_a_server_is_asked_some_at_once_and_shown_data() -> None:
    calls: list[int] = []

    def ask(talks: Sequence[Sequence[Message]]) -> Sequence[str | None]:
        calls.append(len(talks))
        shown = [json.loads(talk[1].content) for talk in talks]
        return [None if row["first"] == "" else "FIRST" for row in shown]

    found = ChatJudge(ask, 2).prefers([asked("a", "b"), asked("", "b"), asked("c", "d")])
    assert calls == [2, 1]
    assert found[[0, 2]].tolist() == [1, 1]
    assert math.isnan(found[1])


def test_what_a_server_is_shown_is_bounded() -> None:
    rules, words = talk_of(Asked((Message(Role.USER, "x" * 9000 + " end"),), "y" * 9000, 'a", "second": "b'))
    shown = json.loads(words.content)
    assert rules.role is Role.SYSTEM
    assert shown["conversation"].endswith(" end")
    assert {len(shown["conversation"]), len(shown["first"])} == {SHOWN_CHARS}
    assert shown["second"] == 'a", "second": "b'


class Leaning:
    """Likes long answers a little and the first place much; says something else each time it is asked."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def prefers(self, asked: Sequence[Asked]) -> np.ndarray:
        return np.array([len(a.first) - len(a.second) + 5 + self.rng.normal() for a in asked])


def test_averaged_orders_have_exactly_contrary_verdicts_and_no_place() -> None:
    both = [asked("aaaaaaaa", "b"), asked("b", "aaaaaaaa")]
    assert Leaning().prefers([asked("b", "cc")])[0] > 0
    found = OrderAveraged(Leaning()).prefers([*both, asked("b", "b")])
    assert found[0] == -found[1]
    assert found[0] > 0
    assert found[2] == 0

from __future__ import annotations

from rejoinder.core.types import Message, Role
from rejoinder.reward.heads.bt import BradleyTerry
from rejoinder.runtime.batching.textmodel import Words

WORDS = Words(lambda texts: [[ord(c) for c in text] for text in texts], 101, 102)


def test_the_conversation_stands_before_the_answer_within_the_models_budget():
    head = BradleyTerry({"budget": {"context": 3, "answer": 2}})
    [row] = head.rows(WORDS, [Message(Role.USER, "ab"), Message(Role.ASSISTANT, "c")], ["xyz"])
    assert row.ids == (101, ord("b"), 102, ord("c"), 102, ord("x"), ord("y"), 102)
    assert row.types == (0, 0, 0, 0, 0, 1, 1, 1)

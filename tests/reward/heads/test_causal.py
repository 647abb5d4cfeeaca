from __future__ import annotations

from rejoinder.core.types import Message, Role
from rejoinder.reward.heads.causal import Causal
from rejoinder.runtime.batching.causalmodel import ChatWords

WORDS = ChatWords(
    lambda messages: [ord(c) for message in messages for c in message.content],
    lambda texts: [[ord(c) for c in text] for text in texts],
)


def test_answers_stand_behind_one_conversation_that_loses_its_beginning_and_end_as_the_template_ends_them():
    head = Causal({"budget": {"context": 2, "answer": 3}, "end": [7, 8]})
    rows = head.rows(WORDS, [Message(Role.USER, "abc")], ["wxyz", ""])
    assert [row.ids for row in rows] == [(98, 99, 119, 120, 121, 7, 8), (98, 99, 7, 8)]
    assert [row.types for row in rows] == [(0, 0, 1, 1, 1, 1, 1), (0, 0, 1, 1)]

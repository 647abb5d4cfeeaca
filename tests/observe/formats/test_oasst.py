"""observe/formats/oasst: what volunteers ranked, labelled and thumbed survives."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder.observe.formats import oasst
from rejoinder.observe.formats.fields import Unfit


def message(name: str, role: str, *replies: Any, **more: Any) -> dict[str, Any]:
    return {"message_id": name, "role": role, "text": name, "replies": list(replies), **more}


def test_ranks_labels_and_thumbs_become_facts_of_the_turn() -> None:
    answer = message("a", "assistant", rank=0, labels={"quality": {"value": 0.75}}, emojis={"+1": 3, "-1": 1})
    (conversation,) = oasst.read({"message_tree_id": "t", "prompt": message("q", "prompter", answer)})
    turn = conversation.turns[1]
    assert turn.rank == 0
    assert {rating.name: rating.number for rating in turn.ratings} == {"quality": 0.75, "thumbs": 0.75}


def test_a_deleted_message_takes_its_replies_with_it() -> None:
    gone = message("gone", "assistant", message("after", "prompter"), deleted=True)
    (conversation,) = oasst.read({"message_tree_id": "t", "prompt": message("q", "prompter", gone)})
    assert [turn.id for turn in conversation.turns] == ["q"]


def test_a_tree_deeper_than_the_bound_is_refused() -> None:
    node = message("leaf", "prompter")
    for number in range(oasst.MAX_DEPTH + 1):
        node = message(str(number), "assistant", node)
    with pytest.raises(Unfit, match="deeper"):
        list(oasst.read({"message_tree_id": "t", "prompt": node}))


def test_no_emoji_is_no_rating() -> None:
    """F08: nobody's thumb is not a thumb down."""
    answer = message("a", "assistant", emojis={"+1": 0})
    (conversation,) = oasst.read({"message_tree_id": "t", "prompt": message("q", "prompter", answer)})
    assert conversation.turns[1].ratings == ()

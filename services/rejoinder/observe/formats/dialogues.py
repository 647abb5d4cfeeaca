"""Evaluation files: `{id, messages: [{role, text}], followup}`, the last message the answer; or `{id, turns: […]}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rejoinder.core.ids import derived_id
from rejoinder.core.types import Role
from rejoinder.observe.conversation import Conversation, Turn, chain
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit


def looks(value: Any) -> bool:
    return ("messages" in value and "followup" in value) or isinstance(value.get("turns"), list)


def read(value: Any) -> Iterator[Conversation]:
    record = fields.mapping(value, "record")
    name = "messages" if "messages" in record else "turns"
    turns = [_turn(item) for item in fields.items(record.get(name), name)]
    followup = record.get("followup")
    if followup is not None and fields.text(followup, "followup").strip():
        if not turns or turns[-1].role is not Role.ASSISTANT:
            raise Unfit("the last message is not the answer")
        turns.append(Turn("", "", Role.USER, fields.text(followup, "followup")))
    if not turns:
        raise Unfit(f"{name} is empty")
    identity = fields.identity(record.get("id")) or derived_id("dialogues", *(t.text for t in turns))
    yield Conversation(identity, chain(turns), fields.identity(record.get("user_id") or record.get("group")))


def _turn(value: Any) -> Turn:
    item = fields.mapping(value, "turn")
    return Turn("", "", fields.role(item.get("role")), fields.text(item.get("text", item.get("content")), "text"))

"""ShareGPT exports (`conversations: [{from, value}]`) and WildChat rows (`conversation: [{role, content}]`).

WildChat: arXiv 2405.01470.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rejoinder.core.ids import derived_id
from rejoinder.core.types import Role
from rejoinder.observe.conversation import Conversation, Turn, chain
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit


def looks(value: Any) -> bool:
    return isinstance(value.get("conversations"), list) or isinstance(value.get("conversation"), list)


def read(value: Any) -> Iterator[Conversation]:
    record = fields.mapping(value, "record")
    name = "conversations" if "conversations" in record else "conversation"
    model = fields.identity(record.get("model"))
    turns = [_turn(item, model) for item in fields.items(record.get(name), name)]
    if not turns:
        raise Unfit(f"{name} is empty")
    identity = fields.identity(record.get("id") or record.get("conversation_hash") or record.get("conversation_id"))
    user = fields.identity(record.get("hashed_ip") or record.get("user_id"))
    yield Conversation(identity or derived_id("sharegpt", user, *(t.text for t in turns)), chain(turns), user)


def _turn(value: Any, model: str) -> Turn:
    item = fields.mapping(value, "turn")
    role = fields.role(item.get("from", item.get("role")))
    return Turn(
        id="",
        parent="",
        role=role,
        text=fields.content(item.get("value", item.get("content")), "value"),
        at=fields.moment(item.get("timestamp")),
        user_id=fields.identity(item.get("hashed_ip")) if role is Role.USER else "",
        model=model if role is Role.ASSISTANT else "",
    )

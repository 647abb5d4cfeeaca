"""OpenAssistant message trees (arXiv 2304.07327): `{message_tree_id, prompt: {text, role, replies: […]}}`.

Ranks become comparisons of siblings; `labels.quality` (0 to 1) and thumb emojis become ratings of the turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rejoinder.core.types import Rating, Role
from rejoinder.observe.conversation import Conversation, Turn
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit

#: Deeper trees than this are refused: a hostile file must not exhaust the stack or the memory.
MAX_DEPTH = 200


def looks(value: Any) -> bool:
    prompt = value.get("prompt")
    return isinstance(prompt, dict) and "replies" in prompt


def read(value: Any) -> Iterator[Conversation]:
    tree = fields.mapping(value, "record")
    prompt = fields.mapping(tree.get("prompt"), "prompt")
    identity = fields.identity(tree.get("message_tree_id") or tree.get("id"))
    if not identity:
        raise Unfit("the tree has no id")
    turns: list[Turn] = []
    waiting = [(prompt, "", 1)]
    while waiting:
        node, parent, depth = waiting.pop(0)
        if depth > MAX_DEPTH:
            raise Unfit(f"the tree is deeper than {MAX_DEPTH}")
        turn = _turn(node, parent)
        if node.get("deleted") is True or any(t.id == turn.id for t in turns):
            continue
        turns.append(turn)
        replies = fields.items(node.get("replies") or [], "replies")
        waiting.extend((fields.mapping(reply, "reply"), turn.id, depth + 1) for reply in replies)
    yield Conversation(identity, tuple(turns), fields.identity(prompt.get("user_id")))


def _turn(node: Any, parent: str) -> Turn:
    identity = fields.identity(node.get("message_id") or node.get("id"))
    if not identity:
        raise Unfit("a message has no id")
    role = fields.role(node.get("role"))
    rank = node.get("rank")
    return Turn(
        id=identity,
        parent=parent,
        role=role,
        text=fields.text(node.get("text"), "text"),
        at=fields.moment(node.get("created_date")),
        user_id=fields.identity(node.get("user_id")),
        model=fields.identity(node.get("model_name")),
        rank=rank if isinstance(rank, int) and not isinstance(rank, bool) else None,
        ratings=tuple(_ratings(node)) if role is Role.ASSISTANT else (),
    )


def _ratings(node: Any) -> Iterator[Rating]:
    labels = node.get("labels") or {}
    quality = labels.get("quality") if isinstance(labels, dict) else None
    if isinstance(quality, dict):
        quality = quality.get("value")
    if isinstance(quality, int | float) and not isinstance(quality, bool) and 0 <= quality <= 1:
        yield Rating(name="quality", number=float(quality), scale_min=0.0, scale_max=1.0)
    emojis = node.get("emojis") or {}
    up, down = (emojis.get(key, 0) for key in ("+1", "-1")) if isinstance(emojis, dict) else (0, 0)
    if isinstance(up, int) and isinstance(down, int) and up >= 0 and down >= 0 and up + down > 0:
        yield Rating(name="thumbs", number=up / (up + down), scale_min=0.0, scale_max=1.0)

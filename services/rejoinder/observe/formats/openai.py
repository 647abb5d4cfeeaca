"""OpenAI chat logs: `{messages: […]}`, or an exchange `{request: {messages, model, user}, response: {choices}}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rejoinder.core.ids import derived_id
from rejoinder.core.types import Role
from rejoinder.observe.conversation import Conversation, Turn, chain
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit


def looks(value: Any) -> bool:
    if isinstance(value.get("request"), dict) and "messages" in value["request"]:
        return True
    messages = value.get("messages")
    return isinstance(messages, list) and all(isinstance(m, dict) and "content" in m for m in messages)


def read(value: Any) -> Iterator[Conversation]:
    record = fields.mapping(value, "record")
    request = fields.mapping(record.get("request", record), "request")
    response = fields.mapping(record.get("response") or {}, "response")
    model = fields.identity(response.get("model") or request.get("model"))
    at = fields.moment(response.get("created") or record.get("created") or record.get("timestamp"))
    turns = [_turn(m, model) for m in fields.items(request.get("messages"), "messages")]
    if "choices" in response:
        choices = fields.items(response["choices"], "choices")
        if not choices:
            raise Unfit("choices is empty")
        message = fields.mapping(fields.mapping(choices[0], "choice").get("message"), "message")
        turns.append(_turn({**message, "created": at}, model))
    if not any(t.role is Role.ASSISTANT for t in turns):
        raise Unfit("nobody answered")
    metadata = request.get("metadata") or record.get("metadata") or {}
    user = fields.identity(request.get("user") or (metadata.get("user_id") if isinstance(metadata, Mapping) else ""))
    identity = fields.identity(response.get("id") or record.get("id"))
    yield Conversation(identity or derived_id("openai", user, *(t.text for t in turns)), chain(turns), user)


def _turn(value: Any, model: str) -> Turn:
    message = fields.mapping(value, "message")
    role = fields.role(message.get("role"))
    return Turn(
        id="",
        parent="",
        role=role,
        text=fields.content(message.get("content"), "content"),
        at=fields.moment(message.get("created")),
        model=model if role is Role.ASSISTANT else "",
    )

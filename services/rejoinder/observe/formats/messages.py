"""Messages as tracing writes them down: lists with roles, alone or in an object, plain or as JSON in a string, their
content as text, as OpenAI's parts or as the parts of OpenTelemetry's conventions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rejoinder.core.types import Message, Role
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit

#: Where an object that is no message keeps its messages, or what was asked, or what was answered.
_LISTS = ("messages", "input_messages")
_ASKED = ("input", "question", "query", "prompt", "text", "content")
_ANSWERED = ("output", "answer", "response", "text", "content", "completion", "result")
#: How JSON of messages begins: what begins so and is no JSON was cut, by a limit on what an attribute may hold.
_BEGUN = re.compile(r'\s*(?:\[\s*)?\{\s*"(?:role|parts|content|message|type|index|finish_reason)"\s*:')


def whole(value: Any, name: str) -> Any:
    """JSON that was logged as a string, plain text as it is. Raises Unfit for messages that were cut."""
    found = _parsed(value)
    if isinstance(found, str) and _BEGUN.match(found):
        raise Unfit(f"{name} was cut")
    return found


def structured(value: Any, name: str) -> Any:
    """What is JSON or no string at all, never plain text. Raises Unfit for any other: it was cut."""
    found = _parsed(value)
    if isinstance(found, str) and found:
        raise Unfit(f"{name} is no JSON")
    return found


def messages_of(value: Any, name: str) -> tuple[Message, ...]:
    """What was asked, with what stood before it, oldest first. Raises Unfit for what holds no message."""
    value = _parsed(value)
    if isinstance(value, str):
        return (Message(Role.USER, fields.text(value, name)),) if value.strip() else ()
    if isinstance(value, Mapping):
        if _is_message(value):
            return (_message(value, name),)
        for key in _LISTS:
            if isinstance(_parsed(value.get(key)), list):
                return messages_of(value[key], name)
        asked = next((value[key] for key in _ASKED if isinstance(value.get(key), str)), None)
        if asked is None:
            raise Unfit(f"{name} holds no messages")
        return (Message(Role.USER, fields.text(asked, name)),)
    items = fields.items(value, name)
    # A batch of one: LangChain's callbacks write it so.
    items = items[0] if len(items) == 1 and isinstance(items[0], list) else items
    return tuple(_message(fields.mapping(item, name), name) for item in items)


def answer_of(value: Any, name: str) -> str:
    """The text that was answered, "" where nothing was (a call of a tool). Raises Unfit for what holds none."""
    found = _parsed(value)
    if isinstance(found, Mapping) and isinstance(found.get("choices"), list) and found["choices"]:
        choice = fields.mapping(found["choices"][0], name)
        found = choice.get("message", choice)
    if isinstance(found, list) and found and all(isinstance(one, Mapping) and _is_message(one) for one in found):
        spoken = [message for message in messages_of(found, name) if message.role is Role.ASSISTANT]
        # Several choices, of which a user sees the first.
        return spoken[0].content if spoken else ""
    if isinstance(found, Mapping):
        if _is_message(found):
            return _message(found, name).content
        for key in _ANSWERED:
            if isinstance(found.get(key), str):
                return fields.text(found[key], name)
    if isinstance(value, str):
        # JSON that is nobody's message is what was answered.
        return fields.text(value, name)
    raise Unfit(f"{name} holds no answer")


def parts_text(parts: Any, name: str) -> str:
    """Parts as text: what was thought is left out, what is no text stands as its type."""
    out = []
    for part in (fields.mapping(part, name) for part in fields.items(parts, name)):
        kind = part.get("type")
        if kind in ("text", "input_text", "output_text", None) and ("content" in part or "text" in part):
            out.append(fields.text(part.get("content", part.get("text")), name))
        elif kind == "tool_call_response":
            said = part.get("response", part.get("result"))
            out.append(fields.text(said, name) if isinstance(said, str) else json.dumps(said, sort_keys=True))
        elif kind not in ("reasoning", "thinking", "tool_call"):
            out.append(f"[{fields.text(kind, name) if isinstance(kind, str) else 'part'}]")
    return "\n".join(out)


def _parsed(value: Any) -> Any:
    """JSON that was logged as a string, else the value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_message(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("role", value.get("type")), str) and ("content" in value or "parts" in value)


def _message(value: Mapping[str, Any], name: str) -> Message:
    role = fields.role(value.get("role", value.get("type")))
    if "parts" in value:
        return Message(role, parts_text(value["parts"], name))
    content = value.get("content")
    if isinstance(content, list):
        return Message(role, parts_text(content, name))
    return Message(role, fields.content(content, name))

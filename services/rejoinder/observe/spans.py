"""A span of a generative client as the exchange that it was, by OpenTelemetry's GenAI conventions.

Now: `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions`, on the span or on its event
`gen_ai.client.inference.operation.details`. Before: `gen_ai.prompt` and `gen_ai.completion`, whole or by number
(OpenLLMetry), also on events; an event a message. OpenInference: `llm.input_messages.N.message.role`. Whose it is
stands in `gen_ai.conversation.id` or `session.id`, and in `user.id` or `enduser.id`, else in what the client was asked
with (`gen_ai.user`, `llm.invocation_parameters`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.core.types import Message, Role
from rejoinder.observe.conversation import Exchange
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.messages import answer_of, messages_of, parts_text, structured, whole
from rejoinder.observe.otlp import Span

#: Operations that answer somebody. An agent's own span repeats what its calls of a model hold.
_OPERATIONS = frozenset({"chat", "generate_content", "text_completion"})
#: Events whose attributes stand for the span's own.
_DETAILS = ("gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion")
#: An event a message, as conventions 1.28 to 1.36 had them.
_MESSAGE = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")
#: `gen_ai.prompt.0.role`, `llm.input_messages.0.message.content`.
_NUMBERED = re.compile(
    r"(gen_ai\.prompt|gen_ai\.completion|llm\.(?:input|output)_messages)\.(\d{1,6})\.(?:message\.)?(\w+)"
)
#: A message of several parts: `llm.input_messages.0.message.contents.1.message_content.text`.
_PART = re.compile(
    r"(llm\.(?:input|output)_messages)\.(\d{1,6})\.message\.contents\.(\d{1,6})\.message_content\.(type|text)"
)


def exchange_of(span: Span) -> Exchange | None:
    """None for a span that is no answered chat, or whose words were not recorded. Raises Unfit for words that are no
    messages."""
    said = dict(span.attributes)
    for name, attributes in span.events:
        if name in _DETAILS:
            said |= attributes
    if span.failed or not _is_chat(said):
        return None
    numbered = _numbered(said)
    asked = _asked(said, numbered, span.events)
    answered = _answered(said, numbered, span.events)
    if answered is None or not any(message.role is Role.USER for message in asked):
        return None
    response = answer_of(answered, "output")
    # A call of a tool is a step on the way: nobody was shown it.
    if not response.strip():
        return None
    return Exchange(
        id=_first(said, "gen_ai.response.id") or span.id,
        messages=asked,
        response=response,
        conversation=_first(said, "gen_ai.conversation.id", "session.id"),
        user=_first(said, "user.id", "enduser.id", "enduser.pseudo.id", "gen_ai.user", "llm.user") or _parameter(said),
        model=_first(said, "gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
        at=span.ended_at,
    )


def _is_chat(said: Mapping[str, Any]) -> bool:
    operation, kind = said.get("gen_ai.operation.name"), said.get("openinference.span.kind")
    if operation is not None:
        return isinstance(operation, str) and operation in _OPERATIONS
    if kind is not None:
        return kind == "LLM"
    # OpenLLMetry's name for it.
    return said.get("llm.request.type") in (None, "chat", "completion")


def _asked(
    said: Mapping[str, Any],
    numbered: Mapping[str, Sequence[Mapping[str, Any]]],
    events: Sequence[tuple[str, Mapping[str, Any]]],
) -> tuple[Message, ...]:
    given = structured(said.get("gen_ai.input.messages"), "input") or whole(said.get("gen_ai.prompt"), "input")
    listed = numbered.get("gen_ai.prompt") or numbered.get("llm.input_messages") or _events(events)
    messages = messages_of(given or list(listed), "input")
    instructions = _instructions(said.get("gen_ai.system_instructions"), "system_instructions")
    return (Message(Role.SYSTEM, instructions), *messages) if instructions.strip() else messages


def _instructions(value: Any, name: str) -> str:
    """Parts by the conventions; some instrumentations write plain text."""
    found = whole(value, name)
    if not found:
        return ""
    if isinstance(found, str):
        return fields.text(found, name)
    return parts_text([found] if isinstance(found, Mapping) else found, name)


def _answered(
    said: Mapping[str, Any],
    numbered: Mapping[str, Sequence[Mapping[str, Any]]],
    events: Sequence[tuple[str, Mapping[str, Any]]],
) -> Any:
    messages = structured(said.get("gen_ai.output.messages"), "output")
    if messages:
        return messages
    if whole(said.get("gen_ai.completion"), "output"):
        return said["gen_ai.completion"]
    listed = numbered.get("gen_ai.completion") or numbered.get("llm.output_messages")
    if listed:
        return [{"role": "assistant", **listed[0]}]
    chosen = next((attributes for name, attributes in events if name == "gen_ai.choice"), None)
    if chosen is None:
        return None
    content = chosen.get("gen_ai.event.content")
    choice = whole(content, "output")
    if isinstance(choice, Mapping) and isinstance(choice.get("message"), Mapping):
        # A message without content calls a tool.
        return {"role": "assistant", "content": None, **choice["message"]}
    return chosen if content is None else content


def _numbered(said: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Messages whose fields are attributes of their own, by the name before the number."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    parts: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for key, value in said.items():
        at = _NUMBERED.fullmatch(key)
        if at is not None and at[3] in ("role", "content"):
            found.setdefault(at[1], {}).setdefault(int(at[2]), {"content": None})[at[3]] = value
        elif (at := _PART.fullmatch(key)) is not None:
            parts.setdefault((at[1], int(at[2])), {}).setdefault(int(at[3]), {})[at[4]] = value
    for (name, number), of in parts.items():
        found.setdefault(name, {}).setdefault(number, {})["content"] = [of[part] for part in sorted(of)]
    return {name: [of[number] for number in sorted(of)] for name, of in found.items()}


def _events(events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    out = []
    for name, attributes in events:
        of = _MESSAGE.fullmatch(name)
        if of is not None:
            inside = attributes.get("gen_ai.event.content", attributes.get("content"))
            out += [{"role": of[1], "content": one.content} for one in messages_of(whole(inside, "input"), "input")]
    return out


def _parameter(said: Mapping[str, Any]) -> str:
    """OpenAI's `user`, or its successor, among the parameters that OpenInference writes down."""
    try:
        given = json.loads(said.get("llm.invocation_parameters") or "{}")
    except (ValueError, TypeError, RecursionError):
        return ""
    return _first(given, "user", "safety_identifier") if isinstance(given, Mapping) else ""


def _first(said: Mapping[str, Any], *names: str) -> str:
    return next((found for name in names if (found := fields.identity(said.get(name)))), "")

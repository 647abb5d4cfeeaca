"""observe/spans: the same chat, however a span's attributes write it down, is the same exchange."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rejoinder.core.types import Message, Role
from rejoinder.observe.conversation import Exchange
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.otlp import Span
from rejoinder.observe.spans import exchange_of

WHOSE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.response.id": "r2",
    "gen_ai.request.model": "m",
    "gen_ai.conversation.id": "c",
    "user.id": "u",
}
CHAT = Exchange(
    id="r2",
    messages=(
        Message(Role.SYSTEM, "be brief"),
        Message(Role.USER, "How warm is it?"),
        Message(Role.ASSISTANT, "68 F"),
        Message(Role.USER, "in Celsius"),
    ),
    response="20 C",
    conversation="c",
    user="u",
    model="m",
    at=1.7e9,
)
TURNS = [(message.role.value.lower().removeprefix("role_"), message.content) for message in CHAT.messages]
PLAIN = [{"role": role, "content": text} for role, text in TURNS]
PARTS = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in TURNS]
ANSWER = [{"role": "assistant", "parts": [{"type": "reasoning", "content": "F to C"}, PARTS[3]["parts"][0] | {
    "content": "20 C"}], "finish_reason": "stop"}]  # fmt: skip


def span(*events: tuple[str, dict[str, Any]], failed: bool = False, **attributes: Any) -> Span:
    return Span("t.s", 1.7e9, failed, {**WHOSE, **attributes}, events)


def numbered(name: str, items: list[dict[str, Any]], between: str = "") -> dict[str, Any]:
    return {f"{name}.{n}.{between}{key}": value for n, item in enumerate(items) for key, value in item.items()}


def events_of_messages() -> list[tuple[str, dict[str, Any]]]:
    said = [(f"gen_ai.{one['role']}.message", {"gen_ai.event.content": json.dumps(one)}) for one in PLAIN]
    return [*said, ("gen_ai.choice", {"gen_ai.event.content": json.dumps({"message": {"content": "20 C"}})})]


@pytest.mark.parametrize(
    "given",
    [
        span(**{"gen_ai.input.messages": json.dumps(PARTS), "gen_ai.output.messages": json.dumps(ANSWER)}),
        span(**{"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWER}),
        span(
            **{
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "be brief"}]),
                "gen_ai.input.messages": json.dumps(PARTS[1:]),
                "gen_ai.output.messages": json.dumps(ANSWER),
            }
        ),
        span(
            (
                "gen_ai.client.inference.operation.details",
                {
                    "gen_ai.system_instructions": [{"type": "text", "content": "be brief"}],
                    "gen_ai.input.messages": PARTS[1:],
                    "gen_ai.output.messages": ANSWER,
                },
            )
        ),
        span(
            ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(PLAIN)}),
            (
                "gen_ai.content.completion",
                {"gen_ai.completion": json.dumps([{"role": "assistant", "content": "20 C"}])},
            ),
        ),
        span(**{"gen_ai.prompt": json.dumps(PLAIN), "gen_ai.completion": "20 C"}),
        span(**numbered("gen_ai.prompt", PLAIN), **{"gen_ai.completion.0.content": "20 C"}),
        span(
            **numbered("llm.input_messages", PLAIN, "message."),
            **{"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "20 C"},
            **{"gen_ai.operation.name": None, "openinference.span.kind": "LLM"},
        ),
        span(
            **numbered("llm.input_messages", PLAIN[:3], "message."),
            **{
                "llm.input_messages.3.message.role": "user",
                "llm.input_messages.3.message.contents.0.message_content.type": "text",
                "llm.input_messages.3.message.contents.0.message_content.text": "in Celsius",
                "llm.output_messages.0.message.content": "20 C",
                "llm.invocation_parameters": '{"model": "m", "user": "u"}',
                "user.id": None,
            },
        ),
        span(**{"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWER, "user.id": None, "gen_ai.user": "u"}),
        span(*events_of_messages()),
    ],
    ids=[
        "now",
        "structured",
        "instructions",
        "details",
        "content events",
        "whole",
        "numbered",
        "openinference",
        "of parts",
        "as asked",
        "each",
    ],
)
def test_a_chat_is_read_however_it_is_written_down(given: Span) -> None:
    assert exchange_of(given) == CHAT


@pytest.mark.parametrize(
    "given",
    [
        span(),
        span(**{"gen_ai.input.messages": PARTS}),
        span(**{"gen_ai.output.messages": ANSWER}),
        span(**{"gen_ai.operation.name": "embeddings", "gen_ai.input.messages": PARTS,
                "gen_ai.output.messages": ANSWER}),
        span(**{"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": PARTS,
                "gen_ai.output.messages": ANSWER}),
        span(failed=True, **{"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWER}),
        span(**{"gen_ai.input.messages": PARTS, "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": {}}]}]}),
        span(**{"gen_ai.input.messages": PARTS[:1], "gen_ai.output.messages": ANSWER}),
    ],
)  # fmt: skip
def test_what_is_no_answered_chat_is_passed(given: Span) -> None:
    assert exchange_of(given) is None


def test_words_that_are_no_messages_are_refused_without_being_told() -> None:
    for broken in ('[{"role": "secret"}]', '[{"secret": 1}]', "[1]", '{"secret": "x"}', [{"role": "user", "parts": 1}]):
        with pytest.raises(Unfit) as raised:
            exchange_of(span(**{"gen_ai.input.messages": broken, "gen_ai.output.messages": ANSWER}))
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        "be brief",
        '[{"type": "text", "content": "be brief"}]',
        '{"type": "text", "content": "be brief"}',
        [{"type": "text", "content": "be brief"}],
    ],
)
def test_instructions_are_the_systems_however_they_are_written_and_nobody_asked_with_them(given: Any) -> None:
    said = {"gen_ai.system_instructions": given, "gen_ai.output.messages": ANSWER}
    assert exchange_of(span(**said, **{"gen_ai.input.messages": PARTS[1:]})) == CHAT
    assert exchange_of(span(**said)) is None


def choice(content: Any) -> Exchange | None:
    asked = ("gen_ai.user.message", {"gen_ai.event.content": "How warm is it?"})
    return exchange_of(span(asked, ("gen_ai.choice", {"gen_ai.event.content": content})))


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("Hello", "Hello"),
        ('{"celsius": 20}', '{"celsius": 20}'),
        ('{"index": 0, "message": {"role": "assistant", "content": "Hello"}}', "Hello"),
        ({"index": 0, "message": {"content": "Hello"}}, "Hello"),
        ('{"content": "Hello"}', "Hello"),
    ],
)
def test_a_choice_is_the_answer_as_it_was_said(content: Any, answer: str) -> None:
    found = choice(content)
    assert found is not None
    assert (found.response, found.messages) == (answer, (Message(Role.USER, "How warm is it?"),))


def test_a_choice_that_calls_a_tool_answers_nobody() -> None:
    assert choice('{"index": 0, "message": {"role": "assistant", "tool_calls": [{"id": "1"}]}}') is None


@pytest.mark.parametrize("left", [1, 5, 40, -1])
@pytest.mark.parametrize(("name", "messages"), [("gen_ai.input.messages", PARTS), ("gen_ai.output.messages", ANSWER)])
def test_messages_that_a_limit_cut_are_nobodys_words(name: str, messages: Any, left: int) -> None:
    said = {"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWER, name: json.dumps(messages)[:left]}
    with pytest.raises(Unfit):
        exchange_of(span(**said))


def test_what_begins_as_messages_and_was_cut_is_refused_where_plain_text_may_stand() -> None:
    for name, cut in (
        ("gen_ai.prompt", json.dumps(PLAIN)[:60]),
        ("gen_ai.completion", '[{"role": "assistant", "content": "20'),
        ("gen_ai.system_instructions", '[{"type": "text", "content": "be'),
    ):
        with pytest.raises(Unfit):
            exchange_of(span(**{"gen_ai.prompt": json.dumps(PLAIN), "gen_ai.completion": "20 C", name: cut}))
    with pytest.raises(Unfit):
        choice('{"index": 0, "message": {"content": "20')


def test_parameters_that_a_limit_cut_say_nothing_of_the_user() -> None:
    said = {"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWER, "user.id": None}
    for given in ('{"user": "an', "[1]", 7, {"user": "u"}):
        found = exchange_of(span(**said, **{"llm.invocation_parameters": given}))
        assert found is not None
        assert found.user == ""


def test_an_operation_that_is_no_text_is_no_chat() -> None:
    said = {"gen_ai.input.messages": PARTS, "gen_ai.output.messages": ANSWER}
    assert exchange_of(span(**said, **{"gen_ai.operation.name": ["chat"]})) is None


def test_half_a_character_in_a_tools_result_can_be_stored() -> None:
    asked = r'[{"role": "user", "parts": [{"type": "text", "content": "x"}]}, {"role": "tool", "parts": [{"type":'
    asked += r' "tool_call_response", "response": "\ud83d"}, {"type": "\ud83d"}]}]'
    found = exchange_of(span(**{"gen_ai.input.messages": asked, "gen_ai.output.messages": ANSWER}))
    assert found is not None
    assert found.messages[1].content == "?\n[?]"

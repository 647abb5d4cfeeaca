"""gateway/asked: what a chat request says, in plain values; what it may not say is named by its parameter."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder.core.errors import BadEncoding, ForeignTenant, TooLong
from rejoinder.core.types import Consent, Message, Role
from rejoinder.gateway.asked import Asked, asked_of
from rejoinder.gateway.errors import BadParameter
from rejoinder.runtime.call import Principal
from starlette.datastructures import Headers

NOW = 1_700_000_000.0
APP = Principal("chat", frozenset({"app"}), frozenset({"acme"}))
MESSAGES = [{"role": "user", "content": "hi"}]


def asked(headers: dict[str, str] | None = None, caller: Principal = APP, **body: Any) -> Asked:
    given = {"model": "assist", "messages": MESSAGES, **body}
    return asked_of(given, Headers(headers or {}), caller, NOW, 4)


def test_whom_it_is_for_comes_from_headers_then_from_openais_fields() -> None:
    headers = {
        "x-rejoinder-user": "ann",
        "x-rejoinder-conversation": "c",
        "x-rejoinder-conversation-started": str(NOW - 60),
        "x-rejoinder-interaction": "i",
        "x-rejoinder-parent": "p",
        "x-rejoinder-turn": "3",
        "x-rejoinder-consent": "no-train",
    }
    said = asked(headers, user="bob").interaction
    assert (said.tenant, said.user_id, said.conversation_id, said.interaction_id) == ("acme", "ann", "c", "i")
    assert (said.parent_interaction_id, said.turn, said.consent) == ("p", 3, Consent.NO_TRAIN)
    assert (said.conversation_started_at, said.principal, said.source) == (NOW - 60, "chat", "front")
    assert asked(user="bob").interaction.user_id == "bob"
    assert asked(safety_identifier="carol").interaction.user_id == "carol"
    assert asked({"x-rejoinder-user": "Zoë".encode().decode("latin-1")}).interaction.user_id == "Zoë"


def test_a_caller_of_several_tenants_names_one_of_its_own() -> None:
    several = Principal("front", frozenset({"app"}), frozenset({"acme", "beta"}))
    assert asked({"x-rejoinder-tenant": "beta"}, several).interaction.tenant == "beta"
    for headers, caller in (
        ({}, several),
        ({"x-rejoinder-tenant": "gamma"}, several),
        ({"x-rejoinder-tenant": "beta"}, APP),
    ):
        with pytest.raises(ForeignTenant):
            asked(headers, caller)
    assert asked({}, Principal("all", frozenset({"app"}))).interaction.tenant == "default"


def test_a_conversation_is_text_whatever_it_was_made_of() -> None:
    said = asked(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "what is"}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "a cat"},
        ]
    )
    assert said.interaction.messages == (
        Message(Role.SYSTEM, "be brief"),
        Message(Role.USER, "what is\n[image_url]"),
        Message(Role.ASSISTANT, '{"tool_calls":[{"arguments":"{}","name":"f"}]}'),
        Message(Role.TOOL, "a cat"),
    )


def test_sampling_has_openais_defaults_and_a_seed_of_nought_is_a_seed() -> None:
    plain = asked().interaction.sampling
    assert plain is not None
    assert (plain.temperature, plain.max_tokens, plain.seed, plain.stop) == (1.0, 0, 0, ())
    said = asked(temperature=0, max_tokens=5, max_completion_tokens=7, seed=0, stop="x").interaction.sampling
    assert said is not None
    assert (said.temperature, said.max_tokens, said.stop) == (0.0, 7, ("x",))
    assert said.seed != 0
    none = asked(top_k=-1).interaction.sampling
    assert none is not None
    assert none.top_k == 0, "as vLLM's clients say it"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ["assist"]}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
        ({"messages": [*MESSAGES] * 2001}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": 1}, "stream_options"),
        ({"n": 0}, "n"),
        ({"n": 5}, "n"),
        ({"n": True}, "n"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": 1.5}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": 3}, "stop"),
        ({"user": 7}, "user"),
    ],
)
def test_what_cannot_be_meant_is_named_by_its_parameter(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadParameter) as refused:
        asked(**body)
    assert refused.value.metadata["field"] == param


@pytest.mark.parametrize(
    "headers",
    [
        {"x-rejoinder-user": "a" * 257},
        {"x-rejoinder-user": "\x85"},
        {"x-rejoinder-user": "\xff"},
        {"x-rejoinder-turn": "-1"},
        {"x-rejoinder-turn": "²"},
        {"x-rejoinder-consent": "maybe"},
        {"x-rejoinder-conversation-started": "nan"},
        {"x-rejoinder-conversation-started": "1e300"},
    ],
)
def test_a_header_that_says_nothing_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises((BadParameter, BadEncoding, TooLong)):
        asked(headers)

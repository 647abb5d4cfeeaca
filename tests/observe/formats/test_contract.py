"""Every format: its sample is recognised as its own, read, and survives hostile neighbours."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core import codec
from rejoinder.core.types import Role
from rejoinder.observe.conversation import Conversation, Exchange
from rejoinder.observe.events import ImportAs, events_of
from rejoinder.observe.formats import FORMATS
from rejoinder.observe.formats.fields import Unfit

TREE = {
    "message_tree_id": "t1",
    "prompt": {
        "message_id": "m1",
        "role": "prompter",
        "text": "How warm is it?",
        "replies": [
            {
                "message_id": "m2",
                "role": "assistant",
                "text": "68 F",
                "rank": 1,
                "labels": {"quality": {"value": 0.5}},
                "emojis": {"+1": 1, "-1": 3},
                "replies": [{"message_id": "m4", "role": "prompter", "text": "no, in Celsius", "replies": []}],
            },
            {"message_id": "m3", "role": "assistant", "text": "20 C", "rank": 0, "replies": []},
        ],
    },
}
SAMPLES: dict[str, Any] = {
    "oasst": TREE,
    "hh": {
        "chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How warm?\n\nAssistant: 20 C",
        "rejected": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How warm?\n\nAssistant: 68 F",
    },
    "openai": {
        "request": {
            "model": "m",
            "user": "u1",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        },
        "response": {
            "id": "c1",
            "created": 1700000000,
            "choices": [{"message": {"role": "assistant", "content": "Hello"}}],
        },
    },
    "sharegpt": {"id": "s1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    "langfuse": {
        "id": "t1",
        "timestamp": "2025-05-29T13:46:19.963Z",
        "userId": "u1",
        "sessionId": "s1",
        "input": [{"role": "user", "content": "How warm is it?"}],
        "output": {"role": "assistant", "content": "68 F"},
        "scores": [
            {"id": "sc1", "traceId": "t1", "name": "thumb", "value": 1, "dataType": "BOOLEAN", "source": "API"},
        ],
    },
    "dialogues": {"id": "d1", "messages": [{"role": "assistant", "text": "68 F"}], "followup": "no, in Celsius"},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_every_row_has_a_sample() -> None:
    assert set(SAMPLES) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_sample_is_recognised_as_its_own_format_only(name: str) -> None:
    assert [other for other in FORMATS if FORMATS[other].traits["looks"](SAMPLES[name])] == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_turns_are_a_tree_in_reading_order(name: str) -> None:
    read = list(FORMATS[name].make(SAMPLES[name]))
    for conversation in (one for one in read if isinstance(one, Conversation)):
        seen = {""}
        for turn in conversation.turns:
            assert turn.parent in seen
            assert turn.id not in seen
            seen.add(turn.id)
        assert any(turn.role is Role.ASSISTANT for turn in conversation.turns)
    assert any(isinstance(one, Conversation | Exchange) for one in read)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_field_replaced_by_anything_is_read_or_refused_never_a_crash(name: str, data: st.DataObject) -> None:
    sample = SAMPLES[name]
    key = data.draw(st.sampled_from(sorted(sample)))
    broken = {**sample, key: data.draw(json_values)}
    found = []
    with contextlib.suppress(Unfit):
        found = list(FORMATS[name].make(broken))
    for one in found:
        for event in events_of(one, ImportAs()):
            codec.encode(event)

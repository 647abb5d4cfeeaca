"""The formats, one file each: `read(object)` of one JSON object, `looks(object)` to recognise it. What is read are
conversations; of logs of calls exchanges, and reactions to them (conversation.py).

A row raises `Unfit` for an object that is none of its own; the reader counts and names such lines.
"""

from __future__ import annotations

from typing import Any

from rejoinder.core.table import Row, Table
from rejoinder.observe.formats import dialogues, hh, langfuse, oasst, openai, sharegpt

FORMATS = Table(
    "format",
    Row(
        "oasst",
        oasst.read,
        claim="OpenAssistant message trees: ranks, labels and emojis kept",
        traits={"looks": oasst.looks},
    ),
    Row(
        "hh",
        hh.read,
        claim="hh-rlhf: chosen/rejected transcripts, or messages with answers a and b",
        traits={"looks": hh.looks},
    ),
    Row(
        "openai",
        openai.read,
        claim="OpenAI chat: messages, or logged request and response",
        traits={"looks": openai.looks},
    ),
    Row(
        "sharegpt",
        sharegpt.read,
        claim="ShareGPT `conversations` and WildChat `conversation`",
        traits={"looks": sharegpt.looks},
    ),
    Row(
        "dialogues",
        dialogues.read,
        claim="messages with the follow-up beside them, or plain turns",
        traits={"looks": dialogues.looks},
    ),
    Row(
        "langfuse",
        langfuse.read,
        claim="Langfuse exports: traces, generations, scores; JSON or CSV",
        traits={"looks": langfuse.looks},
    ),
)


def format_of(record: Any) -> Row | None:
    """The first format that an object looks like."""
    return next((FORMATS[name] for name in FORMATS if FORMATS[name].traits["looks"](record)), None)

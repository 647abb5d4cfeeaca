"""hh-rlhf (arXiv 2204.05862): `{chosen, rejected}` transcripts, or `{messages, a, b, pref}` as converted sets have it.

The two last answers are siblings; the preferred one has rank 0. Human turns before them are follow-ups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rejoinder.core.ids import derived_id
from rejoinder.core.types import Role
from rejoinder.observe.conversation import Conversation, Turn, chain
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit

_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \n]?")


def looks(value: Any) -> bool:
    return ("chosen" in value and "rejected" in value) or ("a" in value and "b" in value and "messages" in value)


def read(value: Any) -> Iterator[Conversation]:
    record = fields.mapping(value, "record")
    if "messages" in record:
        messages = [fields.mapping(m, "message") for m in fields.items(record["messages"], "messages")]
        before = [
            Turn("", "", fields.role(m.get("role")), fields.content(m.get("text", m.get("content")), "text"))
            for m in messages
        ]
        answers = [fields.text(record.get(key), key) for key in ("a", "b")]
        preferred = record.get("pref")
        if isinstance(preferred, bool) or not isinstance(preferred, int | float) or not 0 <= preferred <= 1:
            raise Unfit("pref is no number from 0 to 1")
        ranks = (0, 0) if preferred == 0.5 else (0, 1) if preferred > 0.5 else (1, 0)
    else:
        chosen, rejected = (_transcript(fields.text(record.get(key), key)) for key in ("chosen", "rejected"))
        if [t.text for t in chosen[:-1]] != [t.text for t in rejected[:-1]]:
            raise Unfit("chosen and rejected differ before the last answer")
        before, answers, ranks = chosen[:-1], [chosen[-1].text, rejected[-1].text], (0, 1)
    if not before or before[-1].role is not Role.USER:
        raise Unfit("the last turn before the answers is not the user's")
    asked = chain(before)
    siblings = tuple(
        Turn(name, asked[-1].id, Role.ASSISTANT, answer, rank=rank)
        for name, answer, rank in zip(("a", "b"), answers, ranks, strict=True)
    )
    identity = fields.identity(record.get("id")) or derived_id("hh", *(t.text for t in asked), *answers)
    yield Conversation(identity, (*asked, *siblings))


def _transcript(text: str) -> list[Turn]:
    """Turns of a `\\n\\nHuman: … \\n\\nAssistant: …` transcript."""
    parts = _SPEAKER.split(text)
    if parts[0].strip():
        raise Unfit("a transcript does not begin with a speaker")
    speakers, said = parts[1::2], parts[2::2]
    turns = [
        Turn("", "", Role.USER if who == "Human" else Role.ASSISTANT, what.strip())
        for who, what in zip(speakers, said, strict=True)
    ]
    if not turns or turns[-1].role is not Role.ASSISTANT:
        raise Unfit("a transcript does not end with the assistant")
    return turns

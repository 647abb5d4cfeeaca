"""Typed placeholders for what the finders find, in every text of an event, before the log has it.

The same event gives the same result, so a retry is a duplicate; and what was redacted once stays as it is.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from rejoinder.core.errors import BadSettings
from rejoinder.core.finders import KINDS
from rejoinder.core.types import Feedback, Interaction
from rejoinder.feedback.settings import RedactTheme
from rejoinder.feedback.validate import TEXTS

Event = TypeVar("Event", Interaction, Feedback)

#: Hexadecimal digits of a placeholder's tag: enough to tell a conversation's values apart, too few to find one by.
_TAG_CHARS = 4
_LEAST_KEY_BYTES = 16
#: Two do for what people write; the bound is for what somebody makes up to keep us busy.
_PASSES = 4


class Redactor:
    """kinds: names of rows of KINDS. key: tags placeholders, so that a value has the same one all through its
    conversation (`<EMAIL_3f9a>`) and another elsewhere; None gives every value of a kind the same (`<EMAIL>`).

    owns: nothing that changes.
    """

    def __init__(self, kinds: Sequence[str], phone_regions: Sequence[str] = (), key: bytes | None = None) -> None:
        wanted = {KINDS[name].name for name in kinds}
        self._finders = [(name, row.make(phone_regions)) for name, row in KINDS.items() if name in wanted]
        self._key = key

    def event(self, event: Event) -> tuple[Event, Counter[str]]:
        """The event with placeholders, and how many of each kind."""
        talk = f"{event.tenant or 'default'}\x00{event.conversation_id}" if event.conversation_id else ""
        counts: Counter[str] = Counter()
        return self._walked(event, talk, counts), counts

    def text(self, text: str, talk: str = "", counts: Counter[str] | None = None) -> str:
        """talk: tenant and conversation, "" where none is known: tags would then link a user's conversations."""
        # Again until nothing is found: what stood beside a value may be one once that is gone, and a text that comes
        # twice (an import, then the service) must stay the same.
        for _ in range(_PASSES):
            if not (found := self.found(text)):
                break
            out, at = [], 0
            for kind, start, end in found:
                out += [text[at:start], self._placeholder(kind, text[start:end], talk)]
                at = end
            text = "".join([*out, text[at:]])
            if counts is not None:
                counts.update(kind for kind, _, _ in found)
        return text

    def found(self, text: str) -> list[tuple[str, int, int]]:
        """(kind, start, end) of what is replaced, from left to right; where two overlap, the kind that stands first."""
        spans: list[tuple[int, int, str]] = []
        for kind, find in self._finders:
            for start, end in find(text):
                at = bisect.bisect(spans, (start, end, kind))
                if (at == 0 or spans[at - 1][1] <= start) and (at == len(spans) or spans[at][0] >= end):
                    spans.insert(at, (start, end, kind))
        return [(kind, start, end) for start, end, kind in spans]

    def _placeholder(self, kind: str, found: str, talk: str) -> str:
        if self._key is None or not talk:
            return f"<{kind.upper()}>"
        same = "".join(found.split()).lower().translate(_SEPARATORS) if kind != "url" else found
        named = f"redact\x00{talk}\x00{kind}\x00{same}".encode("utf-8", "surrogatepass")
        return f"<{kind.upper()}_{hmac.new(self._key, named, hashlib.sha256).hexdigest()[:_TAG_CHARS]}>"

    def _walked(self, value: Any, talk: str, counts: Counter[str]) -> Any:
        changed = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if isinstance(item, tuple):
                new: Any = tuple(self._part(field.name, part, talk, counts) for part in item)
            else:
                new = self._part(field.name, item, talk, counts)
            if new is not item and new != item:
                changed[field.name] = new
        return dataclasses.replace(value, **changed) if changed else value

    def _part(self, name: str, item: Any, talk: str, counts: Counter[str]) -> Any:
        if isinstance(item, str):
            return self.text(item, talk, counts) if name in TEXTS and item else item
        return self._walked(item, talk, counts) if dataclasses.is_dataclass(item) else item


#: How one number is written in several ways.
_SEPARATORS = {ord(char): None for char in "-()./"}


def redactor_of(theme: RedactTheme) -> Redactor | None:
    """What the settings ask for; None where they ask for nothing. Raises BadSettings for a key that is none."""
    if not theme.kinds:
        return None
    return Redactor(theme.kinds, theme.phone_regions, None if theme.key_file is None else _key(theme.key_file))


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except OSError:
        raise BadSettings(f"redact.key_file {path} cannot be read") from None
    if len(key) < _LEAST_KEY_BYTES:
        raise BadSettings(f"redact.key_file holds fewer than {_LEAST_KEY_BYTES} bytes")
    return key

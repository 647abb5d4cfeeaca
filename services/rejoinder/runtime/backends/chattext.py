"""Words to tokens. What a caller writes stays words: a control token spelled out in a message steers nothing.

A tokenizer reads `<|im_end|>` as one control token wherever it stands, so a user who types it could end a turn and open
one in the system's name. Here every such spelling is cut after its first character before it is encoded: the same text,
other tokens. (Hugging Face's `split_special_tokens` does the same, but not for a template's own tokens beside it.)
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rejoinder.core.errors import InvalidArgument
from rejoinder.core.types import Message

#: Characters of Unicode's private use area, one of which marks a cut on its way through the template.
_MARKS = tuple(map(chr, range(0xE000, 0xF8FF)))


def control_tokens(folder: Path) -> tuple[str, ...]:
    """Every added token of a model folder: what its tokenizer would read as one piece out of plain text."""
    found = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    return tuple(token["content"] for token in found)


class ChatText:
    """owns: the lock around the tokenizer. Safe from any thread.

    tokenizer: `encode(text)` and `apply_chat_template(json, add_generation_prompt=)`, as ONNX Runtime GenAI has them.
    """

    def __init__(self, tokenizer: Any, control: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        # A token of one character cannot be cut; it opens and closes nothing either.
        spellings = sorted((t for t in control if len(t) > 1), key=len, reverse=True)
        # Looked for at every character, since one spelling may overlap another.
        self._control = re.compile(f"(?={'|'.join(map(re.escape, spellings))})" if spellings else "(?!)")
        self._lead = self._ids("")

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation under the model's own template, the answer's opening included.

        Raises InvalidArgument where the template does not take such a conversation.
        """
        mark = self._mark("".join(m.content for m in messages))
        plain = [{"role": m.role.value.lower(), "content": self._cut(m.content, mark)} for m in messages]
        try:
            with self._lock:
                text = self._tokenizer.apply_chat_template(json.dumps(plain), add_generation_prompt=True)
        except Exception:
            # Its text may quote the conversation.
            raise InvalidArgument("the model's chat template refuses this conversation", field="messages") from None
        return self._pieces(text, mark)

    def text(self, text: str) -> list[int]:
        """Token ids of words alone."""
        mark = self._mark(text)
        return self._pieces(self._cut(text, mark), mark)

    def _mark(self, text: str) -> str:
        mark = next((mark for mark in _MARKS if mark not in text), None)
        if mark is None:
            raise InvalidArgument("the text uses up the private use area", field="messages")
        return mark

    def _cut(self, text: str, mark: str) -> str:
        # The runtime's strings end at a zero character, and the rest of the prompt would be lost.
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        places = [0, *(found.start() + 1 for found in self._control.finditer(text)), len(text)]
        return mark.join(text[start:end] for start, end in pairwise(places))

    def _pieces(self, text: str, mark: str) -> list[int]:
        first, *rest = text.split(mark)
        ids = self._ids(first)
        for piece in rest:
            # What a tokenizer sets before every text belongs before the first alone.
            ids.extend(self._ids(piece)[len(self._lead) :])
        return ids

    def _ids(self, text: str) -> list[int]:
        with self._lock:
            return [int(t) for t in self._tokenizer.encode(text)]

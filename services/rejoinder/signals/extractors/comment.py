"""Reads a comment that was left beside an answer: the text model of `minilm`, on other words.

What is quoted as evidence are words of the comment; a comment that the model finds neutral stays neutral.
"""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.core.types import Comment, Signal
from rejoinder.signals.extractors.evidence import Evidence, Ports, conclude
from rejoinder.signals.extractors.minilm import Params, read, text_of

NAME = "comment"


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each comment; other kinds of feedback give none."""
    text = text_of(ports)
    mine = [(e, e.feedback.kind.text) for e in evidence if isinstance(e.feedback.kind, Comment)]
    verdicts = read([(e.interaction.response, said) for e, said in mine], params, text)
    return tuple(conclude(e, v, NAME, text.version) for (e, _), v in zip(mine, verdicts, strict=True))

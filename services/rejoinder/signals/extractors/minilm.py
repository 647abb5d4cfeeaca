"""Reads a follow-up turn with the signal encoder: polarity, level, reasons with their words.

The task is WildFeedback's (2408.15549): every user turn after an answer against nine reasons of satisfaction and nine
of dissatisfaction, multi-label; there a large judge model reads, here a MiniLM-size encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.errors import NoSuchHead
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.core.turntext import TurnRow, layout, marks
from rejoinder.core.types import FollowUp, Polarity, Reason, Signal
from rejoinder.signals.extractors.evidence import Evidence, Logits, Ports, TextModel, Verdict, conclude
from rejoinder.signals.language import is_unknown
from rejoinder.signals.spans import evidence_span

NAME = "minilm"
POLES = (Polarity.DSAT, Polarity.NONE, Polarity.SAT)
#: Of words in a language that the encoder does not know: DSAT, none, SAT. Nearly even odds, as nothing was read.
UNREAD = (0.33, 0.34, 0.33)


@dataclass(frozen=True)
class Params:
    """min_reason: probability from which a reason is reported, (0, 1); .4 was best of .2 to .5 on held-out turns.

    span_share, span_gap: see spans.py.
    """

    min_reason: float = 0.4
    span_share: float = 0.5
    span_gap: int = 1


def row_of(answer: str, followup: str, text: TextModel) -> tuple[TurnRow, list[tuple[int, int]]]:
    """The token row, and the characters of `followup` under each of its type-1 tokens."""
    before = text.tokenizer.encode(answer, add_special_tokens=False)
    after = text.tokenizer.encode(followup, add_special_tokens=False)
    cls, sep = marks(text.tokenizer)
    row = layout(before.ids, after.ids, cls=cls, sep=sep, budget=text.budget)
    spans = [after.offsets[i] for i in row.at]
    return row, [(start, end) for start, end in spans]


def shipped(logits: Logits, text: TextModel) -> np.ndarray:
    """(DSAT, none, SAT) as the encoder's own calibration has them."""
    return text.calibration.polarity(logits.polarity, logits.rating)


def probabilities(logits: Logits, text: TextModel) -> tuple[np.ndarray, float]:
    """Calibrated (DSAT, none, SAT), by the deployment's own labels where it has some, and the expected level."""
    p = text.own.apply(shipped(logits, text))
    return p, float(text.calibration.level(logits.level, logits.rating, p))


def verdict_of(
    logits: Logits, offsets: Sequence[tuple[int, int]], followup: str, params: Params, text: TextModel
) -> Verdict:
    """What the logits of one row say. Words of nothing but white space say nothing at all (F08)."""
    if not followup.strip():
        return Verdict(Polarity.NONE, 1.0, 0.0, 3.0)
    p, level = probabilities(logits, text)
    said = text.own.said(p)
    fired = text.calibration.rubric(logits.rubric)
    tokens = text.calibration.rubric(logits.tokens)
    reasons = []
    for i in np.argsort(-fired, kind="stable"):
        if fired[i] < params.min_reason:
            break
        start, end = evidence_span(followup, offsets, tokens[:, i], share=params.span_share, gap=params.span_gap)
        reasons.append(Reason(text.reasons[i][0], float(fired[i]), start, end))
    return Verdict(POLES[said], float(p[said]), float(abs(p[2] - p[0])), level, tuple(reasons))


def unread(followup: str) -> Verdict:
    """Of words in an unknown language: none, hardly sure, with the mark by which such turns are counted."""
    return Verdict(Polarity.NONE, UNREAD[1], 0.0, 3.0, (Reason(UNKNOWN_LANGUAGE, 1.0, 0, len(followup)),))


def logits_of(turns: Sequence[tuple[str, str]], text: TextModel) -> list[tuple[Logits, list[tuple[int, int]]] | None]:
    """Of (answer, follow-up) pairs, in order: logits and the characters under the follow-up's tokens; None where its
    language is unknown. One call of the scorer."""
    rows = [None if is_unknown(followup) else row_of(answer, followup, text) for answer, followup in turns]
    found = iter(text.scorer.score([row[0] for row in rows if row]))
    return [row and (next(found), row[1]) for row in rows]


def read(turns: Sequence[tuple[str, str]], params: Params, text: TextModel) -> list[Verdict]:
    """Verdicts on (answer, follow-up) pairs, in order."""
    return [
        verdict_of(*found, followup, params, text) if found else unread(followup)
        for found, (_, followup) in zip(logits_of(turns, text), turns, strict=True)
    ]


def text_of(ports: Ports) -> TextModel:
    if ports.text is None:
        raise NoSuchHead("this extractor needs a text model and none was given")
    return ports.text


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each follow-up turn; other kinds of feedback give none."""
    text = text_of(ports)
    mine = [(e, e.feedback.kind.text) for e in evidence if isinstance(e.feedback.kind, FollowUp)]
    verdicts = read([(e.interaction.response, said) for e, said in mine], params, text)
    return tuple(conclude(e, v, NAME, text.version) for (e, _), v in zip(mine, verdicts, strict=True))

"""Reads a follow-up turn with the signal encoder: polarity, level, reasons with their words.

The task is WildFeedback's (2408.15549): every user turn after an answer against nine reasons of satisfaction and nine
of dissatisfaction, multi-label; there a large judge model reads, here a MiniLM-size encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.errors import NoSuchHead
from rejoinder.core.turntext import TurnRow, layout
from rejoinder.core.types import FollowUp, Polarity, Reason, Signal
from rejoinder.signals.extractors.evidence import Evidence, Logits, Ports, TextModel, Verdict, conclude
from rejoinder.signals.spans import evidence_span

NAME = "minilm"
POLES = (Polarity.DSAT, Polarity.NONE, Polarity.SAT)


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
    cls, sep = text.tokenizer.token_to_id("[CLS]"), text.tokenizer.token_to_id("[SEP]")
    row = layout(before.ids, after.ids, cls=cls, sep=sep, budget=text.budget)
    return row, [tuple(after.offsets[i]) for i in row.at]


def probabilities(logits: Logits, text: TextModel) -> tuple[np.ndarray, float]:
    """Calibrated (DSAT, none, SAT) and the expected level."""
    p = text.calibration.polarity(logits.polarity, logits.rating)
    return p, float(text.calibration.level(logits.level, logits.rating, p))


def verdict_of(
    logits: Logits, offsets: Sequence[tuple[int, int]], followup: str, params: Params, text: TextModel
) -> Verdict:
    """What the logits of one row say. Words of nothing but white space say nothing at all (F08)."""
    if not followup.strip():
        return Verdict(Polarity.NONE, 1.0, 0.0, 3.0)
    p, level = probabilities(logits, text)
    polarity = POLES[int(p.argmax())]
    fired = text.calibration.rubric(logits.rubric)
    tokens = text.calibration.rubric(logits.tokens)
    reasons = []
    for i in np.argsort(-fired, kind="stable"):
        if fired[i] < params.min_reason:
            break
        start, end = evidence_span(followup, offsets, tokens[:, i], share=params.span_share, gap=params.span_gap)
        reasons.append(Reason(text.reasons[i][0], float(fired[i]), start, end))
    return Verdict(polarity, float(p.max()), float(abs(p[2] - p[0])), level, tuple(reasons))


def read(turns: Sequence[tuple[str, str]], params: Params, text: TextModel) -> list[Verdict]:
    """Verdicts on (answer, follow-up) pairs, in order; one call of the scorer."""
    rows = [row_of(answer, followup, text) for answer, followup in turns]
    logits = text.scorer.score([row for row, _ in rows])
    return [
        verdict_of(found, offsets, followup, params, text)
        for found, (_, offsets), (_, followup) in zip(logits, rows, turns, strict=True)
    ]


def text_of(ports: Ports) -> TextModel:
    if ports.text is None:
        raise NoSuchHead("this extractor needs a text model and none was given")
    return ports.text


def extract(evidence: Sequence[Evidence], params: Params, ports: Ports) -> tuple[Signal, ...]:
    """One signal for each follow-up turn; other kinds of feedback give none."""
    text = text_of(ports)
    mine = [e for e in evidence if isinstance(e.feedback.kind, FollowUp)]
    verdicts = read([(e.interaction.response, e.feedback.kind.text) for e in mine], params, text)
    return tuple(conclude(e, v, NAME, text.version) for e, v in zip(mine, verdicts, strict=True))

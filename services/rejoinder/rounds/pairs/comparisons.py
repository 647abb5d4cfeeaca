"""Comparisons by people: of two answers to one prompt, the preferred against the other; ties make no pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rejoinder.core.types import Candidate, Choice, Comparison
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs.context import Context, Draft, Dropped, preference

NAME = "comparisons"


@dataclass(frozen=True)
class Params:
    """flip_probability: share of people's choices another person would turn round, [0, 0.5).

    Annotators of summaries agreed with one another on about 73 % of comparisons (arXiv 2009.01325).
    """

    flip_probability: float = 0.2


def build(evidence: Sequence[Evidence], params: Params, context: Context) -> Iterator[Draft | Dropped]:
    """One draft for each comparison whose other answer is known and answers the same prompt."""
    for item in evidence:
        kind = item.feedback.kind
        if not isinstance(kind, Comparison):
            continue
        if kind.choice not in (Choice.THIS, Choice.OTHER):
            yield Dropped(item.id, "tie")
        elif item.other is None:
            yield Dropped(item.id, "other_answer_unknown")
        elif item.other.messages != item.interaction.messages:
            yield Dropped(item.id, "prompts_differ")
        elif not item.interaction.response.strip() or not item.other.response.strip():
            yield Dropped(item.id, "empty_response")
        else:
            this, other = (
                Candidate(i.response, role="served", version=i.served.version if i.served else "")
                for i in (item.interaction, item.other)
            )
            first, second = (this, other) if kind.choice is Choice.THIS else (other, this)
            yield Draft(
                preference(item, context, NAME, first, second, flip_probability=params.flip_probability, rule="choice")
            )

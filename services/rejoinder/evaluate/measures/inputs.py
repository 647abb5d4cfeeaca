"""What the gate hands to its measures; what is missing makes a measure unmeasured, never passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rejoinder.core.charter import Charter
from rejoinder.evaluate.topics import Topics


@dataclass(frozen=True)
class Answered:
    """One gate prompt answered by both versions with the same seed. scores: by the gate's head, None: no head."""

    prompt_id: str
    group: str
    prompt: Sequence[Mapping[str, str]]
    stable: str
    candidate: str
    stable_tokens: int
    candidate_tokens: int
    stable_score: float | None = None
    candidate_score: float | None = None


@dataclass(frozen=True)
class Guarded:
    """A topic's prompt answered by both versions, as often, with the same seeds."""

    topic: str
    prompt: str
    stable: Sequence[str]
    candidate: Sequence[str]


#: Prompt and answer → whether the check holds; None where it does not apply.
Check = Callable[[Sequence[Mapping[str, str]], str], bool | None]


@dataclass(frozen=True)
class GateInputs:
    """before, after: likelihood rows of the gate's pairs under stable and candidate (training/likelihood.py).

    answered: gate prompts with both answers. train: the train stage's metrics. parity: the export's report.
    checks: named checks of answers (facts, refusals, one's own). unjudged: why no head scored the answers. charter,
    topics: the recipe's. guarded: their prompts with both versions' answers.
    """

    before: Sequence[Mapping[str, Any]] = ()
    after: Sequence[Mapping[str, Any]] = ()
    answered: Sequence[Answered] = ()
    train: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    unjudged: str = ""
    charter: Charter | None = None
    topics: Topics | None = None
    guarded: Sequence[Guarded] = ()

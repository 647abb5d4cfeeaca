"""What two reward heads make of every version's answers: one fitted on the pairs of users whom rounds train on, one on
those of the gate's users. They share no user, and neither shares one with the panel, whose answers they score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.evaluate.pairhead import Compared, PairHead, fit
from rejoinder.registry import datasets

#: Head → the side of the rounds' pair sets that it is fitted on.
SIDES = {"train": "pairs", "gate": "gate"}
#: Fewer pairs make no head: it would tell more of their accidents than of what people want.
LEAST = 100


@dataclass(frozen=True)
class Rewards:
    """of_version: version → head → mean reward of its answers, in standard deviations of what the head gives to the
    untrained policy's, which have the mean 0; None for a head that was not fitted. heads: what each was fitted on."""

    of_version: Mapping[str, Mapping[str, float | None]]
    heads: Mapping[str, Mapping[str, int]]


def rewards(
    data: Path, policy: str, questions: Sequence[str], answers: Mapping[str, Sequence[str]], untrained: str
) -> Rewards:
    """answers: version → one answer a question, in the questions' order."""
    made: dict[str, dict[str, float | None]] = {version: {} for version in answers}
    told: dict[str, dict[str, int]] = {}
    for name, side in SIDES.items():
        pairs = [pair for folder in sorted((data / "rounds" / policy).glob(f"*/{side}-*")) for pair in _read(folder)]
        told[name] = {"pairs": len(pairs), "users": len({pair.user_id for pair in pairs})}
        found: Mapping[str, float | None] = dict.fromkeys(answers)
        if len(pairs) >= LEAST:
            head = fit([Compared(p.prompt[-1].content, p.chosen, p.rejected) for p in pairs])
            found = _scored(head, questions, answers, untrained)
        for version, value in found.items():
            made[version][name] = value
    return Rewards(made, told)


def _read(folder: Path) -> list[Any]:
    return list(datasets.read(folder)) if (folder / datasets.MANIFEST).exists() else []


def _scored(
    head: PairHead, questions: Sequence[str], answers: Mapping[str, Sequence[str]], untrained: str
) -> dict[str, float | None]:
    scores = {version: head.scores(questions, texts) for version, texts in answers.items()}
    zero, unit = scores[untrained].mean(), scores[untrained].std() or 1.0
    return {version: float((found.mean() - zero) / unit) for version, found in scores.items()}

"""Follow-up turns read three ways over one session: the signal worker as it is deployed, its source and log in memory;
the bare session on the same rows in batches of like lengths; and the same in order of arrival, sixteen a batch.

    python -m loadtests.serve.peers.turns MODEL_FOLDER THREADS READY
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rejoinder.core.types import Consent, Feedback, FollowUp, Interaction, Signal
from rejoinder.ledger.reading.evidence import NumberedEvidence as Numbered
from rejoinder.signals.__main__ import extractors_of
from rejoinder.signals.extractors.minilm import row_of
from rejoinder.signals.settings import ReadTheme
from rejoinder.signals.worker import SignalWorker

from loadtests.serve.peers.asked import Work, answer
from loadtests.work.texts import text

ARRIVAL = 16


class Source:
    """Evidence in memory, as the ledger gives it."""

    def __init__(self, pieces: Sequence[Numbered]) -> None:
        self._pieces = pieces

    def evidence(self, reader: str, acknowledged: int, limit: int) -> Sequence[Numbered]:
        return self._pieces[acknowledged : acknowledged + limit]


def pieces(turn: int, count: int) -> list[Numbered]:
    draw = random.Random(turn)
    return [
        Numbered(
            number,
            Interaction(
                interaction_id=f"i{number}", attempt_id="a", response=text(draw, 60, 0.8), consent=Consent.TRAIN
            ),
            Feedback(event_id=f"{turn}-{number}", interaction_id=f"i{number}", kind=FollowUp(text(draw, 14, 0.8))),
        )
        for number in range(1, count + 1)
    ]


def work_of(folder: Path, threads: int) -> Work:
    read = ReadTheme(model=folder, threads=threads)
    extractors = extractors_of(read)
    (words,) = (e.ports.text for e in extractors if e.row.name == "minilm")

    def worker(asked: Sequence[Numbered]) -> Mapping[str, Any]:
        published: list[Signal] = []
        done = SignalWorker(Source(asked), published.extend, extractors, read.batch).drain()
        if done != len(asked) or len(published) != len(asked):
            raise RuntimeError(f"{len(published)} signals of {len(asked)} turns")
        return {}

    def rows(asked: Sequence[Numbered]) -> list[Any]:
        return [row_of(each.interaction.response, each.feedback.kind.text, words)[0] for each in asked]

    def bare(asked: Sequence[Numbered]) -> Mapping[str, Any]:
        laid = rows(asked)
        words.scorer.score(laid)
        return {"tokens": float(np.mean([len(row.ids) for row in laid]))}

    def arrival(asked: Sequence[Numbered]) -> Mapping[str, Any]:
        laid = rows(asked)
        for at in range(0, len(laid), ARRIVAL):
            part = laid[at : at + ARRIVAL]
            # As many rows as come, padded to the longest: one batch of the scorer's.
            words.scorer.batch(part)
        return {}

    ways = {"worker": worker, "bare": bare, "arrival": arrival}
    # What is asked is made before the clock runs.
    return lambda said: ways[said["way"]](pieces(said["turn"], said["count"]))


if __name__ == "__main__":
    answer(sys.argv[3], work_of(Path(sys.argv[1]), int(sys.argv[2])))

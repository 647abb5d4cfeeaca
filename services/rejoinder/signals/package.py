"""The exported signal encoder as a folder, and the scorer that runs it in process.

model.onnx  tokenizer.json  model.json (what the outputs mean)  calibration.json  card.md  digest
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile
from rejoinder.core.modelfolder import TOKENIZER, verified
from rejoinder.core.turntext import Budget, TurnRow
from rejoinder.core.types import Polarity
from rejoinder.runtime.backends import BACKENDS, Backend, backend_of
from rejoinder.runtime.batching.textmodel import pad
from rejoinder.signals.calibration import Calibration
from rejoinder.signals.extractors.evidence import Logits, TextModel
from rejoinder.signals.recalibration import Recalibration, read_recalibration

CALIBRATION = "calibration.json"
OUTPUTS = ["polarity", "level", "rating", "rubric", "tokens"]


def batches(rows: Sequence[TurnRow], budget: int) -> list[list[int]]:
    """Row numbers, longest first, in batches of at most `budget` tokens with padding (at least one row each)."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    out: list[list[int]] = []
    for i in order:
        if out and (len(out[-1]) + 1) * len(rows[out[-1][0]].ids) <= budget:
            out[-1].append(i)
        else:
            out.append([i])
    return out


class GraphScorer:
    """The encoder in this process. owns: its graph. token_budget: tokens a batch, padding included."""

    def __init__(self, graph: Backend, *, token_budget: int = 384) -> None:
        self._graph = graph
        self._budget = token_budget

    def score(self, rows: Sequence[TurnRow]) -> list[Logits]:
        out: dict[int, Logits] = {}
        for part in batches(rows, self._budget):
            out.update(zip(part, self.batch([rows[i] for i in part]), strict=True))
        return [out[i] for i in range(len(rows))]

    def batch(self, rows: Sequence[TurnRow]) -> list[Logits]:
        """Logits of rows in one batch, padded to the longest."""
        feed = pad(rows)
        types = feed["token_type_ids"]
        found = self._graph.infer(feed)
        polarity, level, rating, rubric, tokens = (found[name] for name in OUTPUTS)
        return [Logits(polarity[b], level[b], rating[b], rubric[b], tokens[b][types[b] == 1]) for b in range(len(rows))]


def load(path: Path, *, threads: int = 1, own: Path | None = None) -> TextModel:
    """The text model of a folder, as it was compiled. own: file of a recalibration for it. Raises BadFile (a file is
    missing, or the recalibration is another model's), DataLoss (the files differ from the digest), FailedPrecondition
    (compiled for another machine)."""
    folder = verified(path)
    if not (path / CALIBRATION).is_file():
        raise BadFile(f"{path} holds no {CALIBRATION}", file=CALIBRATION)
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(path / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    row = BACKENDS[backend_of(folder)]
    model = f"{folder.facts['name']}@{folder.digest[:12]}"
    return TextModel(
        GraphScorer(row.make(folder, row.with_params({"threads": threads}))),
        tokenizer,
        Calibration.from_json((path / CALIBRATION).read_text(encoding="utf-8")),
        tuple((name, Polarity(pole)) for name, pole in folder.facts["rubric"]),
        model,
        Budget(**folder.facts["budget"]),
        Recalibration() if own is None else read_recalibration(own, model),
    )

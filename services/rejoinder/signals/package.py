"""The exported signal encoder as a folder, and the scorer that runs it in process.

    model.onnx  tokenizer.json  labels.json  calibration.json  card.md  digest
`digest` is the SHA-256 over the other files, by name; a folder that differs from it is not loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import BadFile, DataLoss
from rejoinder.core.turntext import Budget, TurnRow
from rejoinder.core.types import Polarity
from rejoinder.signals.calibration import Calibration
from rejoinder.signals.extractors.evidence import Logits, TextModel

FILES = ("model.onnx", "tokenizer.json", "labels.json", "calibration.json", "card.md")
POLES = {"SAT": Polarity.SAT, "DSAT": Polarity.DSAT}


def digest_of_folder(folder: Path) -> str:
    """SHA-256 (hex) over names and contents of the folder's files, in the order of FILES."""
    total = hashlib.sha256()
    for name in FILES:
        total.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


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


class OnnxScorer:
    """The encoder in this process. owns: the ONNX Runtime session. token_budget: tokens a batch, padding included."""

    def __init__(self, path: Path, *, threads: int = 1, token_budget: int = 1024) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # A spinning pool burns the cores of its neighbours; a batch lasts long enough for a wake-up not to show.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._budget = token_budget

    def score(self, rows: Sequence[TurnRow]) -> list[Logits]:
        out: dict[int, Logits] = {}
        for part in batches(rows, self._budget):
            size = len(rows[part[0]].ids)
            ids, mask, types = (np.zeros((len(part), size), dtype=np.int64) for _ in range(3))
            for b, i in enumerate(part):
                n = len(rows[i].ids)
                ids[b, :n], mask[b, :n], types[b, :n] = rows[i].ids, 1, rows[i].types
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            polarity, level, rubric, tokens = self._session.run(["polarity", "level", "rubric", "tokens"], feed)
            for b, i in enumerate(part):
                out[i] = Logits(polarity[b], level[b], rubric[b], tokens[b][types[b] == 1])
        return [out[i] for i in range(len(rows))]


def load(folder: Path, *, threads: int = 1) -> TextModel:
    """The text model of a folder. Errors: BadFile (a file is missing), DataLoss (digest differs)."""
    for name in (*FILES, "digest"):
        if not (folder / name).is_file():
            raise BadFile(f"{folder} holds no {name}", path=folder)
    digest = digest_of_folder(folder)
    if digest != (folder / "digest").read_text(encoding="utf-8").strip():
        raise DataLoss(f"the files of {folder} differ from their digest", path=folder)
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return TextModel(
        OnnxScorer(folder / "model.onnx", threads=threads),
        tokenizer,
        Calibration.from_json((folder / "calibration.json").read_text(encoding="utf-8")),
        tuple((name, POLES[pole]) for name, pole in labels["rubric"]),
        f"{labels['name']}@{digest[:12]}",
        Budget(**labels["budget"]),
    )

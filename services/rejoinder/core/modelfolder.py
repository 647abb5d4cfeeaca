"""An exported encoder as a folder that is what its digest says: written by training, loaded by services.

    model.onnx      tokenizer.json      model.json (facts the reader of its outputs needs)      card.md      digest

`digest` is the SHA-256 over name and content of the others; a folder that differs from it is not loaded (F12). One that
was compiled has measured.json beside them, what a stopwatch said on one machine: no part of what the model is, so of no
digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rejoinder.core import typed
from rejoinder.core.errors import BadFile, DataLoss

#: policy: a causal language model that answers. score: a classifier of one label. embedding: a sentence encoder. The
#: last two are what their graphs' outputs are called, and stand in the facts as `outputs`.
Kind = Literal["policy", "score", "embedding"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GRAPH, TOKENIZER, FACTS, DIGEST = "model.onnx", "tokenizer.json", "model.json", "digest"
MEASURED = "measured.json"


@dataclass(frozen=True)
class Run:
    """How a folder wants to be computed: the fact `run`, which `rejoinder compile` writes. Others have none.

    backend: row of the backend table. precision: of the products, where the graph itself does not say.
    """

    backend: str = "onnx"
    precision: str = "fp32"


@dataclass(frozen=True)
class ModelFolder:
    """A verified folder. facts: of `model.json`. digest: SHA-256, hex."""

    path: Path
    digest: str
    facts: Mapping[str, Any]

    @property
    def run(self) -> Run:
        """Raises BadFile where the fact is none that this version knows."""
        try:
            return typed.make(Run, self.facts.get("run", {}))
        except TypeError as error:
            raise BadFile(f"{self.path}/{FACTS}: run: {error}", file=FACTS) from None

    @property
    def quickest(self) -> tuple[int, int]:
        """Threads of one run and runs at once that were quickest where the folder was compiled; zeros where nobody
        measured."""
        try:
            said = json.loads((self.path / MEASURED).read_text("utf-8"))
            threads, lanes = said["threads"], said["lanes"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0
        known = isinstance(threads, int) and isinstance(lanes, int) and threads > 0 and lanes > 0
        return (threads, lanes) if known else (0, 0)


def digest_of(folder: Path) -> str:
    """SHA-256 (hex) over (name, SHA-256 of content) of every file but `digest` and `measured.json`, by name."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name not in (DIGEST, MEASURED) and path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def seal(folder: Path) -> str:
    """Writes the digest of a finished folder and returns it."""
    digest = digest_of(folder)
    (folder / DIGEST).write_text(digest + "\n", encoding="utf-8")
    return digest


def verified(folder: Path, pinned: str = "") -> ModelFolder:
    """The folder's facts, once its files are what its digest says. pinned: the only digest that will do, "" = any.

    Raises BadFile (a file is missing), DataLoss (the files differ from the digest, or it from the pinned one).
    """
    for name in (GRAPH, TOKENIZER, FACTS, DIGEST):
        if not (folder / name).is_file():
            raise BadFile(f"{folder} holds no {name}", file=name)
    said, found = (folder / DIGEST).read_text(encoding="utf-8").strip(), digest_of(folder)
    if found != said or (pinned and found != pinned):
        raise DataLoss(f"the model in {folder} is not the one its digest names", expected=pinned or said, found=found)
    return ModelFolder(folder, found, json.loads((folder / FACTS).read_text(encoding="utf-8")))

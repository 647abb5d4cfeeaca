"""Where the embedded models lie once built: `$REJOINDER_MODELS`, else `build/models` below the working folder."""

from __future__ import annotations

import os
from pathlib import Path

from rejoinder.core.errors import NotFound

#: name → what it is for.
EMBEDDED = {
    "signals": "reads follow-ups (MiniLM encoder, ONNX)",
    "reward": "scores answers (MiniLM encoder with a Bradley-Terry head, ONNX)",
    "rerank": "finds what is about a query (MiniLM encoder, ONNX)",
    "policy": "answers (token model made by the project, ONNX Runtime GenAI)",
}


def models_root() -> Path:
    return Path(os.environ.get("REJOINDER_MODELS", "build/models"))


def folder_of(name: str) -> Path:
    """The folder of an embedded model. Raises NotFound with the command that makes it."""
    folder = models_root() / name
    if not folder.is_dir():
        raise NotFound(f"no embedded {name} model in {models_root()}; `rejoinder models build` makes it", model=name)
    return folder

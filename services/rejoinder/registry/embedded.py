"""Where the embedded models lie once built: `$REJOINDER_MODELS`, else `build/models` below the working folder."""

from __future__ import annotations

import os
from pathlib import Path

from rejoinder.core.errors import NotFound

#: What a model is asked for by → its folder below the root.
EMBEDDED = {
    "signals": "signals",
    "reward": "heads/bt-v1",
    "rerank": "heads/minilm",
    "base": "base",
    "policy": "policy",
}


def models_root() -> Path:
    return Path(os.environ.get("REJOINDER_MODELS", "build/models"))


def folder_of(name: str) -> Path:
    """The folder of an embedded model. Raises NotFound with the command that makes it."""
    folder = models_root() / EMBEDDED[name]
    if not folder.is_dir():
        raise NotFound(f"no embedded {name} model in {models_root()}; `rejoinder models build` makes it", model=name)
    return folder

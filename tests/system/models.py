"""The real exported models for tests beside this file, from the build cache `build/models` (made if stale)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rejoinder.core.errors import BadFile, DataLoss
from rejoinder.core.modelfolder import verified
from rejoinder.training.heads import package

BUILT = Path(__file__).parents[2] / "build" / "models" / "heads"


def built() -> Path:
    """The folder that holds bt-v1 and minilm."""
    wanted = {"bt-v1": package.made_from(package.small_folder()), "minilm": package.made_from(None)}
    if not all(_is_current(name, source) for name, source in wanted.items()):
        command = [sys.executable, "-m", "rejoinder.training.heads", "export", "--out", str(BUILT)]
        subprocess.run(command, check=True)
    return BUILT


def _is_current(name: str, source: dict[str, str]) -> bool:
    try:
        return verified(BUILT / name).facts["made_from"] == source
    except (BadFile, DataLoss):
        return False

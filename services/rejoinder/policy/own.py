"""A user's own model as the first version of a line: exported by a process of the room that needs torch, then served.

An image without the training extra takes an export that was made elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rejoinder.core.errors import FailedPrecondition
from rejoinder.policy.settings import OwnTheme

#: Of the training extra.
NEEDED = ("torch", "transformers", "huggingface_hub")
#: What an export has that a Hugging Face folder has not.
EXPORTED = "genai_config.json"


def exported(own: OwnTheme, there: Callable[[str], bool] = lambda name: bool(importlib.util.find_spec(name))) -> Path:
    """The folder of the export. Takes minutes at the first start. Raises FailedPrecondition."""
    if (Path(own.name) / EXPORTED).is_file():
        return Path(own.name)
    missing = [name for name in NEEDED if not there(name)]
    if missing:
        raise FailedPrecondition(
            f"model.own.name: exporting {own.name} needs the training extra ({', '.join(missing)} not installed); where"
            f" it is, `rejoinder models export --model {own.name} --out DIR` makes the folder to name here",
            setting="model.own.name",
        )
    command = [sys.executable, "-m", "rejoinder.training", "own", "--model", own.name, "--exports", str(own.exports)]
    command += ["--revision", own.revision] if own.revision else []
    command += ["--download"] if own.download else []
    done = subprocess.run(command, env=_environment(own.download), capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedPrecondition(f"model.own.name: {_said(done.stderr)}", setting="model.own.name")
    return Path(json.loads(done.stdout.strip().splitlines()[-1])["folder"])


def _environment(download: bool) -> Mapping[str, str]:
    """Models get no network, unless somebody said so."""
    return dict(os.environ) | ({} if download else {"HF_HUB_OFFLINE": "1"})


def _said(err: str) -> str:
    """The room's own error, in its words; or the last words of whatever ended it."""
    lines = err.strip().splitlines()
    for line in reversed(lines):
        try:
            return str(json.loads(line)["message"])
        except (ValueError, KeyError, TypeError):
            continue
    return lines[-1] if lines else "the export ended without a word"

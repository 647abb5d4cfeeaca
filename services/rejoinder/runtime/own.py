"""A user's own model in settings: exported by a process of the room that needs torch, then served like any other.

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
from typing import Any

from pydantic import Field

from rejoinder.core.errors import BadFile, BadSettings, FailedPrecondition
from rejoinder.core.modelfolder import FACTS, KINDS, Kind
from rejoinder.runtime.settings import Theme

#: Of the training extra.
NEEDED = ("torch", "transformers", "huggingface_hub")
#: What an export has that a Hugging Face folder has not.
EXPORTED: Mapping[Kind, str] = {"policy": "genai_config.json", "score": FACTS, "embedding": FACTS}


class OwnTheme(Theme):
    name: str = ""
    """A Hugging Face model of your own: a folder of safetensors, a name in the hub's cache, or a folder that
    `rejoinder models export` made. Empty: none."""
    revision: str = ""
    """Commit, tag or branch of a hub name; a commit is the only one that stays what it is."""
    download: bool = False
    """True lets a start ask the hub for what is not in its cache on this machine."""
    exports: Path = Path("rejoinder-data/models")
    """Folder of exports, each named by the digest of its model, made at the first start (minutes, and the training
    extra), found at the next."""


class OwnEncoderTheme(OwnTheme):
    max_tokens: int = Field(default=512, ge=16)
    """Tokens that a row is cut to where an encoder would take more: memory and time of a row grow with their square (at
    8,192, gigabytes for each layer)."""


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def exported(own: OwnTheme, kind: Kind, setting: str, there: Callable[[str], bool] = _installed) -> Path:
    """The folder of the export. Takes minutes at the first start. setting: where the name stands, for the person who
    reads the error. Raises FailedPrecondition, BadSettings for a folder with a revision, BadFile for an export of
    another kind."""
    folder = Path(own.name)
    if own.revision and folder.is_dir():
        raise BadSettings(f"{setting}: {own.name} is a folder and has no revisions; empty own.revision", field=setting)
    refuse_without(_facts(folder), kind, setting)
    if (folder / EXPORTED[kind]).is_file():
        return folder
    missing = [name for name in NEEDED if not there(name)]
    if missing:
        raise FailedPrecondition(
            f"{setting}: exporting {own.name} needs the training extra ({', '.join(missing)} not installed); where it"
            f" is, `rejoinder models export --model {own.name} --kind {kind} --out DIR` makes the folder to name here",
            setting=setting,
        )
    command = [sys.executable, "-m", "rejoinder.training", "own", "--model", own.name, "--kind", kind]
    command += ["--exports", str(own.exports)]
    command += ["--revision", own.revision] if own.revision else []
    command += ["--download"] if own.download else []
    done = subprocess.run(command, env=_environment(own.download), capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedPrecondition(f"{setting}: {_said(done.stderr)}", setting=setting)
    return Path(json.loads(done.stdout.strip().splitlines()[-1])["folder"])


def refuse_without(facts: Mapping[str, Any], output: str, setting: str) -> None:
    """Raises BadFile for facts of a graph that has no such output: it would load, and then fail at every call."""
    there = facts.get("outputs", [output])
    if output not in there:
        made = f"; `rejoinder models export --kind {output}` makes one that does" if output in KINDS else ""
        raise BadFile(f"{setting}: the model gives {', '.join(there)}, no {output}{made}", file=FACTS)


def _facts(folder: Path) -> Mapping[str, Any]:
    """Of a folder that may be an export; what is wrong with it is said by whoever loads it."""
    try:
        found = json.loads((folder / FACTS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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

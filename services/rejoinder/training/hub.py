"""A model of somebody's own: a local folder, or a name in the Hugging Face hub's cache on this machine.

safetensors only, and a model that brings its own code is refused: nothing that was downloaded is ever run.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile, FailedPrecondition, NotFound, Unavailable
from rejoinder.training.publish import tree_digest

#: What is fetched where that is allowed: no pickle, no program.
PATTERNS = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model")


def located(model: str, revision: str = "", download: bool = False) -> Path:
    """The folder of a model. revision: a commit, tag or branch of a hub name, "" for its main one. download: whether
    the hub may be asked for what is not here.

    Raises NotFound, Unavailable (the hub does not answer), BadFile for a folder that is no model of safetensors,
    FailedPrecondition for a revision of a folder.
    """
    folder = Path(model)
    if folder.is_dir() and revision:
        raise FailedPrecondition(f"{model} is a folder and has no revisions", field="revision")
    if not folder.is_dir():
        folder = _snapshot(model, revision, download)
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise BadFile(f"{model} holds no config.json: no Hugging Face model", file=model) from None
    if not isinstance(config, dict) or "auto_map" in config:
        raise BadFile(f"{model} brings code of its own, which is not run", file=model)
    if not any(folder.glob("*.safetensors")):
        raise BadFile(
            f"{model} has no weights in safetensors; pickled ones are not read (the hub often has a revision that does:"
            " refs/pr/N, its own conversion)",
            file=model,
        )
    return folder


def export(kind: str, source: Path, out: Path) -> dict[str, Any]:
    """Writes a model's export, complete or not at all. kind: policy | score | embedding. Returns its facts and digest;
    one of this model that stands there already is verified and left."""
    if kind == "policy":
        from rejoinder.training.export import export_base

        return export_base(source, out)
    from rejoinder.training.encoders import export_encoder

    return export_encoder(kind, source, out)  # type: ignore[arg-type]


def exported(model: str, revision: str, download: bool, exports: Path, kind: str = "policy") -> dict[str, Any]:
    """The export of a model in a folder named by the model's digest (an encoder's by kind and format too), made at the
    first call: one process makes it, the others wait. Returns its folder, its digest and the model's own."""
    source = located(model, revision, download)
    digest = tree_digest(source)[0]
    exports.mkdir(parents=True, exist_ok=True)
    out = exports / _named(digest, kind)
    with (exports / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Of starts that were killed: nobody else is at work on this model while the lock is held.
        for left in (*exports.glob(f"{out.name}.*/"), *exports.glob(f".{out.name}.*/")):
            shutil.rmtree(left)
        facts = export(kind, source, out)
    return {"folder": str(out), "digest": facts["digest"], "base": digest}


def _named(digest: str, kind: str) -> str:
    if kind == "policy":
        return digest
    from rejoinder.training.encoders import FORMAT

    return f"{digest}-{kind}-{FORMAT}"


def _snapshot(name: str, revision: str, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    asked = f"{name} at {revision}" if revision else name
    try:
        return Path(
            snapshot_download(
                name, revision=revision or None, local_files_only=not download, allow_patterns=list(PATTERNS)
            )
        )
    except (LocalEntryNotFoundError, HFValidationError):
        raise NotFound(
            f"{asked} is no folder here and not in the hub's cache; `hf download {name}` puts it there", model=name
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise Unavailable(f"the hub did not give {asked}: {type(error).__name__}", model=name) from None

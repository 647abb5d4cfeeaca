"""Versions that a person pushes past the gate: the last learnt adapter, scaled, under a name and override of its own.

An adapter scaled by −0.6 moves answers away from what people were found to want; scaled a little below 1 it changes
next to nothing; in between it is somewhat worse, and the demonstration's people fall silent at it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import load_file, save_file

from rejoinder.core.errors import NotFound
from rejoinder.registry.artefacts import Artefacts, Version
from rejoinder.registry.store import open_store
from rejoinder.rounds.runner import ADAPTER_FILE
from rejoinder.rounds.stages import TRAINING, command, paths

SCALES = {"style": -0.6, "silent": 0.7, "harmless": 0.97}
OVERRIDE = "pushed past the gate by the demonstration"


@dataclass(frozen=True)
class Push:
    version: str
    override: str


def pushed(data: Path, policy: str, learnt: str, kind: str) -> Push:
    """Publishes a scaled copy of a learnt version. Raises NotFound for a version that no round trained."""
    store = open_store(str(data / "registry"))
    artefacts = Artefacts(store, data / "registry" / "artefacts")
    source = artefacts.version(policy, learnt)
    if "train" not in source.facts:
        raise NotFound(f"{learnt} was trained by no round", version=learnt)
    export = artefacts.path(source.base_digest)
    with tempfile.TemporaryDirectory() as work:
        adapter = Path(work) / "adapter"
        shutil.copytree(artefacts.verify(source.facts["train"]) / "adapter", adapter)
        weights = load_file(adapter / "adapter_model.safetensors")
        scaled = {name: w * w.dtype.type(SCALES[kind]) if "lora_B" in name else w for name, w in weights.items()}
        save_file(scaled, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
        folder = Path(work) / "export"
        folder.mkdir()
        command([*TRAINING, "export-adapter", *paths(export=export, adapter=adapter, out=folder / ADAPTER_FILE)])
        digest = artefacts.put(folder)
    version = f"{policy}-push-{kind}"
    made = Version(
        policy,
        version,
        digest,
        base_digest=source.base_digest,
        made_at=time.time(),
        facts={"override": OVERRIDE, "scaled_from": learnt, "scale": str(SCALES[kind])},
    )
    artefacts.publish(made)
    return Push(version, f"{OVERRIDE}: {learnt} × {SCALES[kind]}")

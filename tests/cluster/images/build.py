"""Our images, built once each: `python -m tests.cluster.images.build [TARGET …]` (all but `training` by default).

The embedded models are those of `build/models`, which `rejoinder models build` makes by the very command of the
Dockerfile; everything else is what the Dockerfile says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from functools import cache
from pathlib import Path

from tests.cluster import gobuild
from tests.cluster.images.dockerfile import ROOT, STAGES, read
from tests.cluster.images.layers import Builder, Image, forget
from tests.cluster.tools.build import built

#: `<repository>/<target>:<tag>`, as the chart's values name them.
REGISTRY, REPOSITORY, TAG = "localhost", "rejoinder", "1"
PAUSE = f"{REGISTRY}/pause:{TAG}"
#: What `rejoinder models build` leaves and an image holds.
MODELS = ("base", "heads", "policy", "signals")


def targets() -> tuple[str, ...]:
    """Of the Dockerfile, but the one with torch: CUDA's libraries alone are gigabytes."""
    return tuple(name for name in read() if name not in {*STAGES, "training"})


@cache
def builder() -> Builder:
    given = {"models": {"/opt/rejoinder/models": models()}}
    return Builder(ROOT, given, {"VERSION": "0.1.0", "REVISION": "tests"})


def images(*names: str) -> dict[str, Image]:
    """By reference; built as far as they are not there."""
    return {f"{REGISTRY}/{REPOSITORY}/{name}:{TAG}": builder().image(name) for name in names or targets()}


def pause() -> Image:
    """The image of a pod's sandbox: one static program."""
    program = built("pause")
    folder = gobuild.cache() / "images" / "pause" / program.parent.name
    with gobuild.alone(folder):
        if not (folder / "pause").exists():
            folder.mkdir(exist_ok=True)
            part = folder / ".part"
            shutil.copy2(program, part)
            part.rename(folder / "pause")
    return Image((folder,), entry=("/pause",), user="65535:65535")


def models() -> Path:
    """A folder with the embedded models and nothing else, by hard links: named after what they were made of."""
    here = ROOT / "build" / "models"
    keys = "".join((here / f"{name}.key").read_text() for name in ("heads", "policy", "signals"))
    folder = gobuild.cache() / "images" / "models" / hashlib.sha256(keys.encode()).hexdigest()[:16]
    with gobuild.alone(folder):
        if not folder.exists():
            part = folder.with_name(f".part-{folder.name}")
            shutil.rmtree(part, ignore_errors=True)
            for name in MODELS:
                shutil.copytree(here / name, part / name, copy_function=_linked)
            part.rename(folder)
        os.utime(folder)
    forget(folder.parent, kept=2)
    return folder


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


if __name__ == "__main__":
    for target in sys.argv[1:] or targets():
        began = time.monotonic()
        images(target)
        print(f"image {target}: {time.monotonic() - began:.1f} s", flush=True)

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
from tests.cluster.images.dockerfile import FILE, ROOT, STAGES, Target, read
from tests.cluster.images.layers import Builder, Image, forget
from tests.cluster.tools.build import built

#: `<repository>/<target>:<tag>`, as the chart's values name them.
REGISTRY, REPOSITORY, TAG = "localhost", "rejoinder", "1"
PAUSE = f"{REGISTRY}/pause:{TAG}"
#: Of every build here.
ARGUMENTS = {"VERSION": "0.1.0", "REVISION": "tests"}
#: What `rejoinder models build` leaves and an image holds.
MODELS = ("base", "heads", "policy", "signals")


def targets(context: Path = ROOT) -> tuple[str, ...]:
    """Of a source tree's Dockerfile, but the one with torch: CUDA's libraries alone are gigabytes."""
    return tuple(name for name in stages(context) if name not in {*STAGES, "training"})


def stages(context: Path) -> dict[str, Target]:
    return read((context / FILE.relative_to(ROOT)).read_text("utf-8"))


@cache
def builder(context: Path = ROOT) -> Builder:
    """Of the images of a source tree; the models are always those that lie here."""
    given = {"models": {"/opt/rejoinder/models": models()}}
    return Builder(context, given, ARGUMENTS, stages(context))


def images(*names: str, context: Path = ROOT, tag: str = TAG) -> dict[str, Image]:
    """By reference; built as far as they are not there."""
    wanted = names or targets(context)
    return {f"{REGISTRY}/{REPOSITORY}/{name}:{tag}": builder(context).image(name) for name in wanted}


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

"""The image with torch: the Dockerfile's target `training`, but for its libraries, which are those of this environment.

Hard links into a layer, since from the registry they are gigabytes of CUDA; what a CPU never opens is left out.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path

from tests.cluster import gobuild
from tests.cluster.images.build import ARGUMENTS, REGISTRY, REPOSITORY, TAG, builder, stages
from tests.cluster.images.dockerfile import ROOT, Target
from tests.cluster.images.layers import Builder, Image, forget

#: Of the locked packages: a compiler, headers, and kernels that only a GPU runs.
_LEFT_OUT = re.compile(r"^(triton/|nvidia/cudnn/lib/libcudnn_|nvidia/.*/include/|.*\.a$|.*__pycache__/)")
_INSIDE = "opt/rejoinder/training"
REFERENCE = f"{REGISTRY}/{REPOSITORY}/training:{TAG}"


def image(context: Path = ROOT) -> Image:
    """Of a source tree; built as far as it is not there."""
    found = stages(context)
    target = found["training"]
    plain = Target(target.base, [line for line in target.lines if line[0] != "COPY"])
    made = Builder(context, {}, ARGUMENTS, {**found, "training": plain}).image("training")
    models = builder(context).image("embedded").layers[-1]
    return replace(made, layers=(*made.layers, models, _libraries()))


def _libraries() -> Path:
    """A layer with a virtual environment of the lock's packages as they are installed here."""
    lock = (ROOT / "requirements" / "training.txt").read_text()
    names = re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)
    found = []
    for name in names:
        try:
            found.append(distribution(name))
        except PackageNotFoundError:
            continue
    said = repr(("training/2", _LEFT_OUT.pattern, sorted((each.name, each.version) for each in found)))
    folder = gobuild.cache() / "images" / "training" / hashlib.sha256(said.encode()).hexdigest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_name(f".part-{folder.name}")
            shutil.rmtree(part, ignore_errors=True)
            into = part / _INSIDE / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
            for each in found:
                for file in each.files or ():
                    source = Path(str(each.locate_file(file)))
                    if ".." in file.parts or _LEFT_OUT.match(str(file)) or not source.is_file():
                        continue
                    # Compiled sources are in no package's list, and compiling torch's takes a minute.
                    compiled = Path(cache_from_source(str(source))) if source.suffix == ".py" else source
                    for each_file in {source, compiled}:
                        target = into / file.parent / each_file.relative_to(source.parent)
                        if each_file.is_file() and not target.exists():
                            target.parent.mkdir(parents=True, exist_ok=True)
                            os.link(each_file, target)
            programs = part / _INSIDE / "bin"
            programs.mkdir()
            for name in ("python", "python3"):
                (programs / name).symlink_to("/usr/bin/python3")
            (part / _INSIDE / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
            part.rename(folder)
        os.utime(folder)
    forget(folder.parent, kept=1)
    return folder

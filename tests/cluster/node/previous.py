"""The version before this one, as somebody runs it: chart, kinds and images of an earlier commit of this repository."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from tests.cluster import gobuild
from tests.cluster.images import build
from tests.cluster.images.dockerfile import ROOT
from tests.cluster.images.layers import Image, forget
from tests.cluster.node import training

COMMIT = "543819c9820c6f187ade528c1d6289f3d6680865"
TAG = "0"
TRAINING = f"{build.REGISTRY}/{build.REPOSITORY}/training:{TAG}"


def missing() -> str:
    """Why it cannot be had; empty where it can."""
    found = subprocess.run(
        ["git", "-C", str(ROOT), "cat-file", "-e", f"{COMMIT}^{{commit}}"], capture_output=True, check=False
    )
    return f"commit {COMMIT[:7]} is not in this clone: git fetch --unshallow" if found.returncode else ""


def source() -> Path:
    """Its tree, in the user's cache."""
    folder = gobuild.cache() / "images" / "sources" / COMMIT
    with gobuild.alone(folder):
        if not folder.exists():
            part = folder.with_name(f".part-{COMMIT}")
            shutil.rmtree(part, ignore_errors=True)
            packed = subprocess.run(["git", "-C", str(ROOT), "archive", COMMIT], capture_output=True, check=True)
            with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
                archive.extractall(part, filter="data")
            part.rename(folder)
    forget(folder.parent, kept=1)
    return folder


def images() -> dict[str, Image]:
    """By reference; built as far as they are not there."""
    return {**build.images(context=source(), tag=TAG), TRAINING: training.image(source())}

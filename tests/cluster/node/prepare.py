"""What a node's tests would wait for, made before any ring begins: `python -m tests.cluster.node.prepare [--proof]`.

Kubernetes' programs, tools, images and their unpacked store: some 15 minutes on a cold cache, a second on a warm one.
On a machine that can run no node it says why and does nothing.
"""

from __future__ import annotations

import sys

from tests.cluster.gobuild import CannotBuild
from tests.cluster.images.build import PAUSE, images, pause
from tests.cluster.images.layers import Image
from tests.cluster.kubernetes import build
from tests.cluster.node import previous, store, training
from tests.cluster.node.node import PROGRAMS, TOOLS, unfit
from tests.cluster.tools.build import built


def everything() -> dict[str, Image]:
    """By reference: every image of this version, and of the one before where this clone has it."""
    before = {} if previous.missing() else previous.images()
    return {**images(), training.REFERENCE: training.image(), **before}


if __name__ == "__main__":
    if unfit():
        print(f"node: {unfit()}")
        sys.exit(0)
    try:
        for program in PROGRAMS:
            build.build(program)
        for tool in TOOLS:
            built(tool)
    except CannotBuild as error:
        sys.exit(f"node: {error}")
    if "--proof" in sys.argv:
        # All of them, for nothing is fetched while a test runs; their store is another set.
        store.prepared({**everything(), PAUSE: pause()})
    else:
        store.prepared({**images("embedded"), PAUSE: pause()})

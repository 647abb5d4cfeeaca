from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.core.modelfolder import GRAPH, seal, verified
from rejoinder.runtime.triton.repository import Placing, write
from rejoinder.runtime.triton.sealed import version_of

from loadtests.processes import ends_with_us
from tests.chaos.harness import wait_until
from tests.system.models import built
from tests.tritonserver import TritonServer, running


@dataclass(frozen=True)
class World:
    """A Triton server, and a keeper beside it as a process of its own. client: tritonclient's. heads: bt-v1, minilm."""

    server: TritonServer
    client: object
    heads: Path

    def write(self, source: Path, name: str = "reward") -> str:
        return write(source, self.server.repository, name, Placing(backend="python", threads=1))

    def serves(self, source: Path, name: str = "reward") -> bool:
        return self.client.is_model_ready(name, version_of(verified(source).digest))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The reward head's first version is served."""
    from tritonclient.grpc import InferenceServerClient

    folder, heads = tmp_path_factory.mktemp("triton"), built()
    with running(folder) as server, InferenceServerClient(server.target) as client:
        out = World(server, client, heads)
        out.write(heads / "bt-v1")
        command = [sys.executable, "-m", "rejoinder.cli.main", "triton-keep", "--every=0.2"]
        command += [f"--server={server.target}", f"--repository={server.repository}"]
        with (folder / "keeper.log").open("wb") as log:
            keeper = subprocess.Popen(
                command, stderr=log, env=dict(os.environ), preexec_fn=ends_with_us(signal.SIGKILL)
            )
        try:
            wait_until(lambda: _serves(out), "the first version", 60.0)
            yield out
        finally:
            keeper.terminate()
            try:
                assert keeper.wait(20) == 0
            finally:
                keeper.kill()
                keeper.wait()


def _serves(world: World) -> bool:
    from tritonclient.utils import InferenceServerException

    assert world.server.process.poll() is None, world.server.log.read_text()[-2000:]
    try:
        return world.serves(world.heads / "bt-v1")
    except InferenceServerException:
        return False


@pytest.fixture(scope="session")
def second(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another version of the reward head: each score is one more."""
    return shifted(world.heads / "bt-v1", tmp_path_factory.mktemp("second") / "bt-v2", 1.0)


def shifted(source: Path, target: Path, by: float) -> Path:
    import shutil

    import onnx

    shutil.copytree(source, target)
    model = onnx.load(target / GRAPH)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "score" else name for name in node.output]
    model.graph.initializer.append(onnx.helper.make_tensor("by", onnx.TensorProto.FLOAT, [], [by]))
    model.graph.node.append(onnx.helper.make_node("Add", ["before", "by"], ["score"]))
    onnx.save(model, target / GRAPH)
    seal(target)
    return target

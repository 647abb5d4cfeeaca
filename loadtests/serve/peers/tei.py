"""Text Embeddings Inference's own server over ONNX Runtime, a program that is brought (`BENCH="--tei PROGRAM"`):
`… -m loadtests.serve.peers.tei PROGRAM FOLDER MAX_BATCH_TOKENS THREADS READY`.

As its command line starts it but for three things: it says warnings alone; a build that loads ONNX Runtime takes the
library of this environment, which is the one that our session has; and it gets as many processors to count as our
session has threads, for it starts a thread for each.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from rejoinder.cli.supervisor import free_ports
from rejoinder.core.modelfolder import GRAPH

from loadtests.processes import ends_with_us, say_ready

#: What it reads beside the graph.
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


def binary(said: str) -> Path:
    """A program by its path. Raises ArgumentTypeError."""
    path = Path(said).expanduser().absolute()
    if not os.access(path, os.X_OK) or path.is_dir():
        raise argparse.ArgumentTypeError(f"{said} is no program")
    return path


def version(router: Path) -> str:
    found = subprocess.run([str(router), "--version"], env=_environment(), capture_output=True, text=True, check=True)
    return found.stdout.strip().rpartition(" ")[2]


def made(ours: Path, transformers: Path, at: Path) -> Path:
    """A folder as it looks for one: our graph, whose scores it wants as `logits` with a column for each label, and what
    transformers' folder of the same weights says."""
    import onnx

    graph = onnx.load(str(ours / GRAPH))
    (score,) = graph.graph.output
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "label"))
    graph.graph.node.append(onnx.helper.make_node("Unsqueeze", [score.name, "label"], ["logits"]))
    graph.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["rows", 1]))
    (at / "onnx").mkdir(parents=True)
    onnx.save(graph, str(at / "onnx" / "model.onnx"))
    for name in FILES:
        shutil.copyfile(transformers / name, at / name)
    return at


def _environment() -> dict[str, str]:
    """Its options can be said by the environment, too: it gets none of ours."""
    package = importlib.util.find_spec("onnxruntime")
    assert package is not None
    assert package.origin is not None
    (library,) = (Path(package.origin).parent / "capi").glob("libonnxruntime.so.*")
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "ORT_DYLIB_PATH": str(library), "LOG_LEVEL": "warn"}


def _serves(port: int) -> bool:
    asked = HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        asked.request("GET", "/health")
        return asked.getresponse().status == 200
    except OSError:
        return False
    finally:
        asked.close()


def main(router: str, folder: str, max_batch_tokens: str, threads: str, ready: str) -> None:
    (port,) = free_ports(1)
    at = ("--hostname", "127.0.0.1", "--port", str(port))
    all_of = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of)[: int(threads)])
    started = subprocess.Popen(
        [router, "--model-id", folder, "--max-batch-tokens", max_batch_tokens, *at],
        env=_environment(),
        preexec_fn=ends_with_us(signal.SIGKILL),
    )
    while not _serves(port):
        if started.poll() is not None:
            raise SystemExit(f"it ended with {started.returncode} before it served")
        time.sleep(0.05)
    # It has counted: from here on it may use any, as the others may.
    for thread in Path(f"/proc/{started.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), all_of)
    say_ready(Path(ready), port)
    raise SystemExit(started.wait())


if __name__ == "__main__":
    main(*sys.argv[1:])

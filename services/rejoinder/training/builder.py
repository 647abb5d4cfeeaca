"""ONNX Runtime GenAI's model builder in a process of its own: it is a command line with global state."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.modelfolder import GRAPH

#: Seconds. Billions of weights take minutes; a builder that hangs would hold a round for ever.
MOST_S = 3600.0


def build(
    source: Path, out: Path, cache: Path, *, field: str, adapter: Path | None = None, most_s: float = MOST_S
) -> None:
    """Writes the fp32 CPU export of a Hugging Face folder to `out`. adapter: a PEFT folder whose LoRA branches it gets.

    Raises FailedPrecondition, which names `field`, where the builder fails or takes longer than `most_s` seconds.
    """
    options = ["-i", source, "-o", out, "-p", "fp32", "-e", "cpu", "-c", cache]
    if adapter:
        options += ["--extra_options", f"adapter_path={adapter}"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "onnxruntime_genai.models.builder", *map(str, options)],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=most_s,
        )
    except subprocess.TimeoutExpired:
        raise FailedPrecondition(f"the model builder took longer than {most_s:g} s", field=field) from None
    if done.returncode or not (out / GRAPH).exists():
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise FailedPrecondition(f"the model builder failed: {last[0]}", field=field)

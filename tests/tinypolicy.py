"""A tiny random policy as a server loads it: exported once, with two adapters, kept under build/ for later runs.

Random weights on purpose: what the policy room promises (who is served, what is recorded, how fast a version changes)
does not depend on what the answers say, and a base of a hundred thousand weights starts in a second.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "tests"
ADAPTERS = ("a1", "a2")


def tiny_policy() -> Path:
    """The folder: `export/` (a base) and `<name>/adapter.onnx_adapter` for each of ADAPTERS. Made when missing."""
    made_by = ("onnxruntime-genai", "onnxruntime", "transformers", "peft", "torch")
    # With all of the training room: its own tests stand on this export, too.
    room = sorted((ROOT / "services/rejoinder/training").glob("*.py"))
    sources = (*room, ROOT / "tests/training/conftest.py", Path(__file__))
    text = "\n".join([*(version(name) for name in made_by), *(path.read_text() for path in sources)])
    folder = KEPT / f"tiny-policy-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not folder.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as work:
            _make(Path(work) / "made")
            try:
                (Path(work) / "made").rename(folder)
            except OSError:
                # Another run was first.
                if not folder.exists():
                    raise
    return folder


def _make(folder: Path) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from rejoinder.training.adapters import fresh, load_base, save_adapter, trainable
    from rejoinder.training.export import export_adapter, export_base
    from rejoinder.training.publish import tree_digest
    from rejoinder.training.settings import LoraSettings

    from tests.training.conftest import build_base

    base = folder / "base"
    base.mkdir(parents=True)
    build_base(base)
    export_base(base, folder / "export")
    for seed, name in enumerate(ADAPTERS, 1):
        model = fresh(load_base(base, "float32", torch.device("cpu")), LoraSettings(r=4, alpha=8.0), 0)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in trainable(model).values():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
        (folder / name).mkdir()
        save_adapter(model, folder / f"{name}.peft", f"sha256:{tree_digest(base)[0]}")
        export_adapter(folder / "export", folder / f"{name}.peft", folder / name / "adapter.onnx_adapter")
        shutil.rmtree(folder / f"{name}.peft")
    shutil.rmtree(base)

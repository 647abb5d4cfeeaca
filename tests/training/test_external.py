"""`train: external`: a command that knows only STAGE.md makes an output that ours could have made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rejoinder.training.adapters import WEIGHTS, read_config
from rejoinder.training.export import onnx_arrays
from rejoinder.training.publish import verify
from safetensors.numpy import load_file

pytestmark = pytest.mark.system


def test_a_plain_trl_script_keeps_the_contract(tmp_path, base_dir, make_pairs):
    manifest, out = tmp_path / "manifest.json", tmp_path / "out"
    manifest.write_text(json.dumps({"train": {"lr": 3e-3, "epochs": 4}}))
    paths = {"manifest": manifest, "pairs": make_pairs(), "base": base_dir, "out": out}
    script = Path(__file__).with_name("external_trl.py")
    subprocess.run(
        [sys.executable, script, *(part for name, path in paths.items() for part in (f"--{name}", path))],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert verify(out) == json.loads((out / "digest.json").read_text())["digest"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["contract"] == "train/v1"
    assert metrics["pairs"]["trained"] == 12
    assert metrics["losses"][-1] < metrics["losses"][0]
    config, state = read_config(out / "adapter"), load_file(out / "adapter" / WEIGHTS)
    arrays = onnx_arrays(state, config, _AnyShape())
    assert len(arrays) == len(state) == 2 * 7 * 2
    assert {a.shape[1] for n, a in arrays.items() if ".lora_A." in n} == {4}


class _AnyShape(dict):
    """An export that has a place for every weight."""

    def get(self, name, default=None):
        return ["lora_rank", "lora_rank"]

"""What Triton's python backend runs, without Triton: where its session may run."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace as Plain

import pytest
from rejoinder.runtime.triton import sealed
from rejoinder.runtime.triton.repository import Placing, write

from tests.runtime.triton.graphs import model


class Refused(Exception):
    pass


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A model as a stub makes one of a version's own program, not initialised; what it is initialised with."""
    number = write(model(tmp_path / "first"), tmp_path / "repository", "m", Placing(backend="python", threads=1))
    there = tmp_path / "repository" / "m"
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", Plain(TritonModelException=Refused))
    monkeypatch.setitem(sys.modules, "sealed", sealed)
    spec = importlib.util.spec_from_file_location("stub_model", there / number / "model.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    config = {"parameters": {"threads": {"string_value": "1"}}, "input": [{"name": "ids"}], "output": []}
    said = {"model_config": json.dumps(config), "model_repository": str(there), "model_version": number}
    return found, found.TritonPythonModel(), {**said, "model_instance_device_id": "0"}


def test_on_a_cpu_it_is_loaded(made):
    _, stub, said = made
    stub.initialize({**said, "model_instance_kind": "CPU"})


@pytest.mark.parametrize("has", [True, False])
def test_on_a_gpu_it_is_loaded_only_where_the_runtime_has_one(has, made, monkeypatch):
    """The runtime takes the CPU instead, and says so in a log that nobody reads."""
    program, stub, said = made

    class Session:
        def __init__(self, graph, options, providers):
            assert Path(graph).is_file()
            self._providers = [each if isinstance(each, str) else each[0] for each in providers][0 if has else 1 :]

        def get_providers(self):
            return self._providers

    monkeypatch.setattr(program.onnxruntime, "InferenceSession", Session)
    if has:
        stub.initialize({**said, "model_instance_kind": "GPU"})
        return
    with pytest.raises(Refused, match="no CUDA"):
        stub.initialize({**said, "model_instance_kind": "GPU"})


def test_files_that_are_not_what_their_digest_says_are_not_loaded_f12(made):
    _, stub, said = made
    (Path(said["model_repository"]) / said["model_version"] / "tokenizer.json").write_text("[]")
    with pytest.raises(Refused, match="files"):
        stub.initialize({**said, "model_instance_kind": "CPU"})

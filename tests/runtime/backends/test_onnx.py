"""Graphs that are computed in this process: what holds of ONNX Runtime and of OpenVINO alike."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rejoinder.core.errors import FailedPrecondition, UnknownRow
from rejoinder.runtime.backends import BACKENDS

from tests.runtime.backends.graphs import sums


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sums(tmp_path_factory.mktemp("graph"))


@pytest.fixture(params=["onnx", "openvino"])
def graph(folder, request):
    row = BACKENDS[request.param]
    made = row.make(folder, row.with_params({"threads": 2}))
    yield made
    made.close()


def test_tensors_go_in_by_name_and_every_output_comes_out_by_name(graph):
    out = graph.infer({"x": np.array([[1, 2], [3, 4]], dtype=np.float32)})
    assert set(out) == {"twice", "sum"}
    assert out["twice"].tolist() == [[2, 4], [6, 8]]
    assert out["sum"].tolist() == [3, 7]


def test_rows_and_tokens_are_free(graph):
    for shape in ((1, 1), (5, 3)):
        assert graph.infer({"x": np.ones(shape, dtype=np.float32)})["sum"].shape == (shape[0],)


def test_the_graph_reports_the_digest_of_the_files_it_was_loaded_from_f12(graph, folder):
    assert graph.digest == folder.digest


def test_it_may_be_called_from_several_threads(graph):
    inputs = [np.full((2, 3), n, dtype=np.float32) for n in range(32)]
    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda x: graph.infer({"x": x})["sum"][0], inputs))
    assert sums == [3.0 * n for n in range(32)]


def test_an_output_is_its_callers_own(graph):
    """A runtime's buffer that the next call writes over would be somebody else's answer."""
    first = graph.infer({"x": np.ones((2, 2), dtype=np.float32)})
    graph.infer({"x": np.full((2, 2), 7, dtype=np.float32)})
    assert first["sum"].tolist() == [2, 2]


def test_idle_threads_burn_no_processor_time(graph):
    graph.infer({"x": np.ones((512, 512), dtype=np.float32)})
    before, until = sum(os.times()[:2]), time.monotonic() + 0.3
    while time.monotonic() < until:
        time.sleep(0.05)
    assert sum(os.times()[:2]) - before < 0.1


def test_an_unknown_backend_is_answered_with_the_known_ones():
    with pytest.raises(UnknownRow, match="onnx"):
        BACKENDS["tensorflow"]


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_is_not_there_is_an_error_and_no_quiet_cpu(device, folder):
    row = BACKENDS["onnx"]
    with pytest.raises(FailedPrecondition, match="install onnxruntime-gpu"):
        row.make(folder, row.with_params({"device": device}))

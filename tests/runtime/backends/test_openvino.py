"""OpenVINO's own: what a folder was compiled for is what computes it, or nothing does."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from rejoinder.core.errors import BadFile, BadSettings, FailedPrecondition
from rejoinder.core.modelfolder import GRAPH, Run
from rejoinder.runtime.backends import BACKENDS, backend_of, threads_of

from tests.runtime.backends.graphs import sums


def test_a_folder_says_what_computes_it(tmp_path):
    plain = sums(tmp_path / "plain")
    assert [backend_of(plain, wanted) for wanted in ("auto", "onnx", "triton")] == ["onnx", "onnx", "triton"]
    with pytest.raises(BadSettings, match="was not compiled for openvino"):
        backend_of(plain, "openvino")
    assert backend_of(sums(tmp_path / "bf16", backend="openvino", precision="bf16")) == "openvino"
    int8 = sums(tmp_path / "int8", backend="onnx", precision="int8", threads=1)
    assert [backend_of(int8, wanted) for wanted in ("auto", "triton")] == ["onnx", "triton"]


@pytest.mark.parametrize("backend", ["onnx", "triton"])
def test_a_precision_that_the_digest_stands_for_is_not_left_away_f12(backend, tmp_path):
    bf16 = sums(tmp_path / "made", backend="openvino", precision="bf16")
    with pytest.raises(BadSettings, match="compiled for openvino in bf16"):
        backend_of(bf16, backend)


def test_a_fact_that_this_version_does_not_know_is_no_guess(tmp_path):
    with pytest.raises(BadFile, match="run: unknown streams"):
        backend_of(sums(tmp_path / "made", backend="onnx", streams=2))


def test_threads_are_those_that_were_measured_and_never_more_than_there_are(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)))
    assert [threads_of(Run(threads=n)) for n in (0, 1, 3, 16)] == [2, 1, 3, 4]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert threads_of(Run()) == 1


def _opened(folder):
    row = BACKENDS["openvino"]
    return row.make(folder, row.with_params({"threads": 1}))


def test_bf16_is_computed_where_the_processor_can_and_refused_where_it_cannot(tmp_path):
    """Never fp32 in its place without a word: the digest stands for the answers."""
    import openvino

    made = sums(tmp_path / "made", backend="openvino", precision="bf16")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(FailedPrecondition, match="this processor does not compute"):
            _opened(made)
        return
    graph = _opened(made)
    try:
        assert graph.infer({"x": np.ones((1, 2), dtype=np.float32)})["sum"].tolist() == [2]
    finally:
        graph.close()


def test_a_processor_without_bf16_is_told_so(tmp_path, monkeypatch):
    import openvino

    class Core:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(FailedPrecondition, match="this processor does not compute"):
        _opened(sums(tmp_path / "made", backend="openvino", precision="bf16"))


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(FailedPrecondition, match=r"rejoinder\[openvino\]"):
        _opened(sums(tmp_path))


def test_a_graph_that_openvino_cannot_read_is_a_bad_file(tmp_path):
    torn = sums(tmp_path / "made", backend="openvino", precision="fp32")
    (torn.path / GRAPH).write_bytes(b"no graph")
    with pytest.raises(BadFile, match="OpenVINO cannot run"):
        _opened(torn)

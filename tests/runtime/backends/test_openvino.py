"""OpenVINO's own: what a folder was compiled for is what computes it, or nothing does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from rejoinder.core.errors import BadFile, BadSettings, FailedPrecondition, InvalidArgument
from rejoinder.core.modelfolder import GRAPH, MEASURED, verified
from rejoinder.runtime import backends
from rejoinder.runtime.backends import BACKENDS, backend_of, placed
from rejoinder.runtime.backends.openvino import library

from tests.runtime.backends.graphs import sums


def test_a_folder_says_what_computes_it(tmp_path):
    plain = sums(tmp_path / "plain")
    assert [backend_of(plain, wanted) for wanted in ("auto", "onnx", "triton")] == ["onnx", "onnx", "triton"]
    with pytest.raises(BadSettings, match="was not compiled for openvino"):
        backend_of(plain, "openvino")
    assert backend_of(sums(tmp_path / "bf16", backend="openvino", precision="bf16")) == "openvino"
    int8 = sums(tmp_path / "int8", backend="onnx", precision="int8")
    assert [backend_of(int8, wanted) for wanted in ("auto", "triton")] == ["onnx", "triton"]


@pytest.mark.parametrize("backend", ["onnx", "triton"])
def test_a_precision_that_the_digest_stands_for_is_not_left_away_f12(backend, tmp_path):
    bf16 = sums(tmp_path / "made", backend="openvino", precision="bf16")
    with pytest.raises(BadSettings, match="compiled for openvino in bf16"):
        backend_of(bf16, backend)


def test_a_fact_that_this_version_does_not_know_is_no_guess(tmp_path):
    with pytest.raises(BadFile, match="run: unknown streams"):
        backend_of(sums(tmp_path / "made", backend="onnx", streams=2))


@pytest.mark.parametrize(
    ("cores_there", "measured", "said", "placing"),
    [
        (8, None, (0, 0), (1, 2)),
        (1, None, (0, 0), (1, 1)),
        (8, None, (2, 0), (2, 1)),
        (8, None, (0, 1), (2, 1)),
        (8, None, (3, 5), (3, 5)),
        (8, (2, 4), (0, 0), (2, 4)),
        (4, (2, 4), (0, 0), (2, 2)),
        (1, (2, 4), (0, 0), (1, 1)),
        (8, (2, 4), (1, 0), (1, 1)),
    ],
)
def test_what_settings_leave_open_is_what_was_measured_or_two_cores_and_never_more_than_there_are(
    cores_there, measured, said, placing, tmp_path, monkeypatch
):
    monkeypatch.setattr(backends, "cores", lambda: cores_there)
    folder = sums(tmp_path)
    if measured:
        (tmp_path / MEASURED).write_text(json.dumps({"threads": measured[0], "lanes": measured[1]}))
    assert placed(folder, *said) == placing
    # What a stopwatch said is no part of what the model is.
    assert verified(tmp_path).digest == folder.digest


@pytest.mark.parametrize(
    "said", ["", "[]", '{"threads": 2}', '{"threads": "2", "lanes": 1}', '{"threads": 0, "lanes": 1}']
)
def test_a_measurement_that_is_none_is_as_if_there_were_none(said, tmp_path):
    folder = sums(tmp_path)
    (tmp_path / MEASURED).write_text(said)
    assert folder.quickest == (0, 0)


@pytest.mark.parametrize(
    ("limit", "there", "found"),
    [
        ("max 100000", 8, 8),
        ("200000 100000", 8, 2),
        ("150000 100000", 8, 2),
        ("50000 100000", 8, 1),
        ("900000 100000", 4, 4),
    ],
)
def test_a_containers_limit_counts_as_its_cores(limit, there, found, tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text(limit + "\n")
    monkeypatch.setattr(backends, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(there)))
    assert backends.cores() == found


def test_the_package_is_imported_without_a_word_to_anybody_and_leaves_nothing(tmp_path):
    """Its own import tells an analytics service and writes an id into the home folder."""
    program = (
        "import sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, args: seen.append(name) if name.startswith(('socket.', 'os.fork')) else None)\n"
        "from rejoinder.runtime.backends.openvino import library\n"
        "library().Core()\n"
        "print(seen)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_is_not_sent_is_an_error_and_not_that_of_the_call_before(tmp_path):
    graph = _opened(sums(tmp_path))
    try:
        graph.infer({"x": np.ones((1, 2), dtype=np.float32)})
        with pytest.raises(InvalidArgument, match="an input of the graph is missing"):
            graph.infer({})
    finally:
        graph.close()


def _opened(folder):
    row = BACKENDS["openvino"]
    return row.make(folder, row.with_params({"threads": 1}))


def test_bf16_is_computed_where_the_processor_can_and_refused_where_it_cannot(tmp_path):
    """Never fp32 in its place without a word: the digest stands for the answers."""
    made = sums(tmp_path / "made", backend="openvino", precision="bf16")
    if "BF16" not in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(FailedPrecondition, match="this processor does not compute"):
            _opened(made)
        return
    graph = _opened(made)
    try:
        assert graph.infer({"x": np.ones((1, 2), dtype=np.float32)})["sum"].tolist() == [2]
    finally:
        graph.close()


def test_a_processor_without_bf16_is_told_so(tmp_path, monkeypatch):
    class Core:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr(library(), "Core", Core)
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

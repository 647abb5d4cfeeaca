from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rejoinder.core.errors import UnknownRow
from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal, verified
from rejoinder.runtime.backends import BACKENDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A graph with two outputs: twice the input, and its row sums."""
    from onnx import TensorProto, helper, save

    where = tmp_path_factory.mktemp("graph")
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=0),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "tokens"])],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
            for n, s in (("twice", ["rows", "tokens"]), ("sum", ["rows"]))
        ],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), where / GRAPH)
    (where / TOKENIZER).write_text("{}")
    (where / FACTS).write_text(json.dumps({"outputs": ["twice", "sum"]}))
    seal(where)
    return where


@pytest.fixture
def graph(folder):
    row = BACKENDS["onnx"]
    made = row.make(verified(folder), row.with_params({"threads": 2}))
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
    assert graph.digest == verified(folder).digest


def test_it_may_be_called_from_several_threads(graph):
    inputs = [np.full((2, 3), n, dtype=np.float32) for n in range(32)]
    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda x: graph.infer({"x": x})["sum"][0], inputs))
    assert sums == [3.0 * n for n in range(32)]


def test_idle_threads_burn_no_processor_time(graph):
    graph.infer({"x": np.ones((512, 512), dtype=np.float32)})
    before, until = sum(os.times()[:2]), time.monotonic() + 0.3
    while time.monotonic() < until:
        time.sleep(0.05)
    assert sum(os.times()[:2]) - before < 0.1


def test_an_unknown_backend_is_answered_with_the_known_ones():
    with pytest.raises(UnknownRow, match="onnx"):
        BACKENDS["tensorflow"]

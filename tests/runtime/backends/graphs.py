"""A graph with two outputs as a model folder: twice the input, and its row sums."""

from __future__ import annotations

import json

from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal, verified


def sums(where, **run):
    """The verified folder; run: its fact of that name, where it has one."""
    where.mkdir(exist_ok=True)
    from onnx import TensorProto, helper, save

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
    facts = {"outputs": ["twice", "sum"], **({"run": run} if run else {})}
    (where / FACTS).write_text(json.dumps(facts))
    seal(where)
    return verified(where)

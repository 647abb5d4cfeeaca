"""Small graphs as model folders."""

from __future__ import annotations

import json

from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal

#: A number a row, a vector a row, one of a vector a token.
OUTPUTS = {"score": ("rows",), "vector": ("rows", 2), "tokens": ("rows", "tokens", 3)}


def model(where, note="", outputs=OUTPUTS):
    """A folder of a graph that repeats its input; the note makes another version."""
    from onnx import TensorProto, helper, save

    where.mkdir()
    # The sums of the rows are a number each, or a column; each number of a row is a token's.
    nodes = [
        helper.make_node("ReduceSum", ["ids", "last"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["ids", "last"], ["column"], keepdims=1),
        helper.make_node("Unsqueeze", ["ids", "two"], ["each"]),
    ]
    inits = [helper.make_tensor(n, TensorProto.INT64, [1], [at]) for n, at in (("last", 1), ("two", 2))]
    for name, shape in outputs.items():
        made = "sum"
        if len(shape) > 1:
            made = f"{name}_whole"
            parts = ["column" if len(shape) == 2 else "each"] * shape[-1]
            nodes.append(helper.make_node("Concat", parts, [made], axis=len(shape) - 1))
        nodes.append(helper.make_node("Cast", [made], [name], to=TensorProto.FLOAT))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "tokens"])
    told = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    graph = helper.make_graph(nodes, "g", [ids], told, inits)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), where / GRAPH)
    (where / TOKENIZER).write_text("{}")
    (where / FACTS).write_text(json.dumps({"outputs": list(outputs), "note": note}))
    seal(where)
    return where

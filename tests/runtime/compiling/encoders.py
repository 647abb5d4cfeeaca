"""A small encoder as a model folder: words into vectors, a matrix product, their sum as a score or an embedding."""

from __future__ import annotations

import json

import numpy as np
from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal, verified

WIDTH = 64
WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "where", "is", "it", "here", "there", "no", "yes", "thanks")


def encoder(where, output="score"):
    """The verified folder of a graph that reads (rows, tokens) ids and gives `output`."""
    from onnx import TensorProto, helper, numpy_helper, save
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    where.mkdir()
    draw = np.random.default_rng(0)
    weights = {
        "table": draw.normal(size=(len(WORDS), WIDTH)),
        "mix": draw.normal(size=(WIDTH, WIDTH)) / 8,
        "out": draw.normal(size=(WIDTH, 1 if output == "score" else WIDTH)) / 8,
    }
    inits = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    inits += [helper.make_tensor(name, TensorProto.INT64, [1], [at]) for name, at in (("one", 1), ("two", 2))]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("MatMul", ["words", "mix"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["bent"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "two"], ["each"]),
        helper.make_node("Mul", ["bent", "each"], ["real"]),
        helper.make_node("ReduceSum", ["real", "one"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["sum", "out"], ["column"]),
        helper.make_node("Squeeze", ["column", "one"], [output])
        if output == "score"
        else helper.make_node("Identity", ["column"], [output]),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in names]
    shape = ["rows"] if output == "score" else ["rows", WIDTH]
    told = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "g", inputs, told, inits)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), where / GRAPH)
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    tokenizer.save(str(where / TOKENIZER))
    budget = {"context": 8, "answer": 8} if output == "score" else 8
    (where / FACTS).write_text(json.dumps({"budget": budget, "outputs": [output]}))
    (where / "card.md").write_text("# A card\n")
    seal(where)
    return verified(where)

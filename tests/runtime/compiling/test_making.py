"""runtime/compiling/making: variants as folders of their own, on a small encoder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.core.modelfolder import FACTS, GRAPH, MEASURED, seal, verified
from rejoinder.runtime.backends import BACKENDS, backend_of
from rejoinder.runtime.compiling import making
from rejoinder.runtime.compiling.making import Maker, Measuring, Said, batches_of
from rejoinder.runtime.compiling.variants import PRECISIONS

from tests.runtime.compiling.encoders import encoder

_WORDS = ("where", "is", "it", "here", "there", "no", "yes", "thanks")
SAID = [Said(("where is it", "no")[: at % 3], " ".join(_WORDS[at % 5 : at % 5 + 1 + at % 4])) for at in range(16)]
QUICK = Measuring((1,), 0.0)


@pytest.mark.parametrize("output", ["score", "embedding"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_is_a_folder_that_its_backend_computes_as_exactly_as_its_card_says(output, precision, tmp_path):
    source = encoder(tmp_path / "source", output)
    made = Maker(source, SAID, QUICK).made(precision, tmp_path / "out" / precision)
    folder = verified(made.folder)
    assert folder.digest == made.digest != source.digest
    assert folder.facts["compiled_from"] == source.digest
    assert folder.run == made.run
    assert folder.quickest == (1, made.speed.lanes)
    card = (made.folder / "card.md").read_text()
    assert card.startswith("# A card\n")
    assert f"Compiled: {precision}" in card
    batch = batches_of(source, SAID)[0]
    here, there = (_outputs(each, batch)[output].astype(float) for each in (source, folder))
    assert np.abs(here - there).max() <= made.exact.difference * 3 * max(here.std(), 1)
    assert made.exact.least > (0.9999999 if precision == "fp32" else 0.99)
    # int8 is another graph with a difference to be seen.
    assert (made.exact.difference > 1e-4) == (precision != "fp32")


def _outputs(folder, batch):
    row = BACKENDS[backend_of(folder)]
    graph = row.make(folder, row.with_params({"threads": 1}))
    try:
        return graph.infer(batch)
    finally:
        graph.close()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_digest_is_of_the_model_and_not_of_the_stopwatch(precision, tmp_path):
    """Or nobody could make the folder again that a setting pins, and every making were another reader of signals."""
    maker = Maker(encoder(tmp_path / "source"), SAID, QUICK)
    first, second = (maker.made(precision, tmp_path / name / precision) for name in ("a", "b"))
    assert first.digest == second.digest
    said = [json.loads((each.folder / MEASURED).read_text()) for each in (first, second)]
    assert said[0]["speeds"] != said[1]["speeds"]


def test_too_few_texts_say_nothing(tmp_path):
    with pytest.raises(BadFile, match="15 texts say nothing of an order"):
        Maker(encoder(tmp_path / "source"), SAID[:15], QUICK)


@pytest.mark.parametrize(
    ("name", "content"), [(GRAPH, b"torn"), ("tokenizer.json", b"{}"), (FACTS, b'{"outputs": ["score"]}')]
)
def test_a_file_that_a_library_cannot_read_is_named(name, content, tmp_path):
    source = encoder(tmp_path / "source")
    (source.path / name).write_bytes(content)
    seal(source.path)
    with pytest.raises(BadFile, match=name):
        Maker(verified(source.path), SAID, QUICK)


def test_a_policy_is_no_encoder(tmp_path):
    source = encoder(tmp_path / "source")
    (source.path / "genai_config.json").write_text("{}")
    seal(source.path)
    with pytest.raises(BadFile, match="holds a causal model"):
        Maker(verified(source.path), SAID, QUICK)


def test_a_variant_of_a_variant_is_refused(tmp_path):
    made = Maker(encoder(tmp_path / "source"), SAID, QUICK).made("int8", tmp_path / "int8")
    with pytest.raises(FailedPrecondition, match="name the folder that it was made from"):
        Maker(verified(made.folder), SAID, QUICK)


def test_what_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    maker = Maker(encoder(tmp_path / "source"), SAID, QUICK)

    def broken(graph, out):
        out.write_bytes(b"half")
        raise ValueError("no such form")

    row = PRECISIONS["int8"]
    monkeypatch.setitem(PRECISIONS._rows, "int8", type(row)("int8", broken, traits=row.traits))
    with pytest.raises(BadFile, match="has no form in int8"):
        maker.made("int8", tmp_path / "out" / "int8")
    assert list((tmp_path / "out").iterdir()) == []


def test_operators_are_brought_to_an_opset_that_openvino_reads_as_it_is_meant(tmp_path, monkeypatch):
    """Of an older one it takes an axis that stands in an attribute for all of them."""
    from onnx import helper, load, save

    source = encoder(tmp_path / "source")
    model = load(source.path / GRAPH)
    (reduced,) = (node for node in model.graph.node if node.op_type == "ReduceSum")
    at = list(model.graph.node).index(reduced)
    model.graph.node.remove(reduced)
    model.graph.node.insert(at, helper.make_node("ReduceLogSumExp", ["real"], ["sum"], axes=[1], keepdims=0))
    save(model, source.path / GRAPH)
    seal(source.path)
    maker = Maker(verified(source.path), SAID, QUICK)
    assert maker.made("bf16", tmp_path / "bf16").exact.cosine["score"] > 0.999
    row = PRECISIONS["bf16"]
    monkeypatch.setitem(PRECISIONS._rows, "bf16", type(row)("bf16", PRECISIONS["fp32"].make, traits=row.traits))
    with pytest.raises(BadFile, match="OpenVINO cannot run"):
        maker.made("bf16", tmp_path / "again")


def test_outputs_of_another_shape_are_no_variant(tmp_path, monkeypatch):
    from onnx import load, save

    def column(graph, out):
        """Leaves the column a column."""
        model = load(graph)
        model.graph.node.remove(next(node for node in model.graph.node if node.op_type == "Squeeze"))
        (last,) = (node for node in model.graph.node if list(node.output) == ["column"])
        last.output[0] = "score"
        del model.graph.output[0].type.tensor_type.shape.dim[:]
        save(model, out)

    row = PRECISIONS["int8"]
    monkeypatch.setitem(PRECISIONS._rows, "int8", type(row)("int8", column, traits=row.traits))
    maker = Maker(encoder(tmp_path / "source"), SAID, QUICK)
    with pytest.raises(BadFile, match=r"the output score is \[16, 1\] where it is \[16\]"):
        maker.made("int8", tmp_path / "int8")


def test_facts_of_no_layout_that_is_known_are_refused(tmp_path):
    source = encoder(tmp_path / "source")
    (source.path / FACTS).write_text(json.dumps({"outputs": ["weather"]}))
    seal(source.path)
    with pytest.raises(BadFile, match="weather"):
        batches_of(verified(source.path), SAID)


def test_threads_to_try_are_powers_of_two_and_all_cores(monkeypatch):
    for there, tried in ((1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))):
        monkeypatch.setattr(making, "cores", lambda there=there: there)
        assert making.usual_threads() == tried


def test_fp32_is_the_graph_that_it_was_made_from(tmp_path):
    source = encoder(tmp_path / "source")
    made = Maker(source, SAID, QUICK).made("fp32", tmp_path / "fp32")
    assert (made.folder / GRAPH).read_bytes() == (source.path / GRAPH).read_bytes()

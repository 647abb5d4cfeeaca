"""The hot swap: one export of the base, adapters of any rank. F12: what is served is what was trained."""

import json
import shutil
from importlib.metadata import version

import numpy as np
import onnx
import pytest
import torch
from rejoinder.core.errors import BadFile, ClaimTaken, FailedPrecondition
from rejoinder.training import export as module
from rejoinder.training.adapters import fresh, load_base, save_adapter, trainable
from rejoinder.training.export import export_adapter, export_base, onnx_arrays, read_facts
from rejoinder.training.parity import OnnxSide, TorchSide, compare
from rejoinder.training.publish import file_digest, tree_digest, verify
from rejoinder.training.settings import LoraSettings

from tests.tinypolicy import tiny_policy


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """What `export_base` has made of the same weights: once for all rooms, as it takes as long as all tests here."""
    return shutil.copytree(tiny_policy() / "export", tmp_path_factory.mktemp("export") / "base")


@pytest.fixture
def make_adapter(base_dir, tmp_path):
    """A PEFT folder with random weights of a given rank."""

    def make(name, r=4, alpha=8.0, seed=1, base=None):
        model = fresh(load_base(base_dir, "float32", torch.device("cpu")), LoraSettings(r=r, alpha=alpha), 0)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in trainable(model).values():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draw))
        save_adapter(model, tmp_path / name, base or f"sha256:{tree_digest(base_dir)[0]}")
        return tmp_path / name

    return make


@pytest.fixture
def prompts(examples):
    return [e.prompt for e in examples[:4]]


def test_the_folder_holds_what_a_server_loads(export, base_dir):
    files = {p.name for p in export.iterdir()}
    assert {"model.onnx", "model.onnx.data", "genai_config.json", "tokenizer.json", "rejoinder.json"} <= files
    verify(export)
    facts = read_facts(export)
    assert facts["base"] == f"sha256:{tree_digest(base_dir)[0]}"
    model = onnx.load(export / "model.onnx", load_external_data=False)
    # The builder would add the commit of the repository around: equal models of other digests.
    assert model.producer_version == version("onnxruntime-genai")
    graph = model.graph
    inputs = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.input}
    assert len(facts["lora_inputs"]) == 2 * 7 * 2
    assert all(inputs[name] == shape for name, shape in facts["lora_inputs"].items())
    assert str(base_dir) not in "".join(p.read_text() for p in export.glob("*.json"))


def test_without_an_adapter_it_is_the_base(export, base_dir, prompts):
    report = compare(TorchSide(base_dir, None), OnnxSide(export, None), prompts)
    assert report.ok
    assert report.greedy_equal == 4
    assert report.max_logp_difference < 1e-4


@pytest.mark.parametrize(("r", "alpha"), [(1, 4.0), (4, 8.0), (16, 8.0)])
def test_an_adapter_of_any_rank_is_served_as_torch_computes_it(
    export, base_dir, make_adapter, prompts, tmp_path, r, alpha
):
    adapter = make_adapter("a", r, alpha)
    export_adapter(export, adapter, tmp_path / "a.onnx_adapter")
    report = compare(TorchSide(base_dir, adapter), OnnxSide(export, tmp_path / "a.onnx_adapter"), prompts)
    assert report.ok
    assert report.max_logp_difference < 1e-4
    bare = compare(TorchSide(base_dir, adapter), OnnxSide(export, None), prompts)
    assert not bare.ok
    assert bare.max_logp_difference > 0.05


def test_another_adapter_than_the_one_trained_is_noticed(export, base_dir, make_adapter, prompts, tmp_path):
    trained, served = make_adapter("a"), make_adapter("b", seed=2)
    export_adapter(export, served, tmp_path / "b.onnx_adapter")
    assert not compare(TorchSide(base_dir, trained), OnnxSide(export, tmp_path / "b.onnx_adapter"), prompts).ok


def test_two_adapters_live_beside_each_other_on_one_loaded_base(export, base_dir, make_adapter, prompts, tmp_path):
    import onnxruntime_genai as og

    model = og.Model(str(export))
    loaded = og.Adapters(model)
    sides = {None: TorchSide(base_dir, None)}
    for name, r in (("a", 4), ("b", 8)):
        adapter = make_adapter(name, r, seed=r)
        export_adapter(export, adapter, tmp_path / f"{name}.onnx_adapter")
        loaded.load(str(tmp_path / f"{name}.onnx_adapter"), name)
        sides[name] = TorchSide(base_dir, adapter)
    for name in ("a", None, "b", "a"):
        params = og.GeneratorParams(model)
        params.set_search_options(max_length=len(prompts[0]) + 1)
        generator = og.Generator(model, params)
        if name:
            generator.set_active_adapter(loaded, name)
        generator.append_tokens(list(prompts[0]))
        logits = torch.from_numpy(np.array(generator.get_output("logits")[0]))
        np.testing.assert_allclose(logits.log_softmax(-1), sides[name].logps(prompts[0]), atol=1e-4)


def test_equal_adapters_make_equal_files(export, make_adapter, tmp_path):
    for name in ("a", "b"):
        export_adapter(export, make_adapter(name), tmp_path / f"{name}.onnx_adapter")
    assert file_digest(tmp_path / "a.onnx_adapter") == file_digest(tmp_path / "b.onnx_adapter")


def test_an_adapter_of_another_base_is_refused(export, make_adapter, tmp_path):
    with pytest.raises(BadFile, match="another base"):
        export_adapter(export, make_adapter("a", base="sha256:" + "0" * 64), tmp_path / "a.onnx_adapter")
    assert not (tmp_path / "a.onnx_adapter").exists()


def test_the_same_base_is_exported_once_and_another_may_not_take_its_place(export, base_dir, make_base, monkeypatch):
    def built_again(*arguments, **named):
        raise AssertionError("the builder was started")

    monkeypatch.setattr(module, "build", built_again)
    assert export_base(base_dir, export)["digest"] == verify(export)
    with pytest.raises(ClaimTaken, match="other inputs"):
        export_base(make_base(kind="qwen2", seed=9), export)


def test_a_folder_that_is_no_model_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Exception, match="empty"):
        export_base(tmp_path / "empty", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


CONFIG = {"r": 2, "lora_alpha": 6}
KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
NAME = "model.layers.0.attn.q_proj.lora_{}.MatMul.weight"
INPUTS = {NAME.format("A"): [3, "lora_rank"], NAME.format("B"): ["lora_rank", 5]}


def test_a_is_transposed_and_b_is_transposed_and_scaled():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(10.0).reshape(5, 2)
    arrays = onnx_arrays({KEY.format("A"): a, KEY.format("B"): b}, CONFIG, INPUTS)
    np.testing.assert_array_equal(arrays[NAME.format("A")], a.T)
    np.testing.assert_array_equal(arrays[NAME.format("B")], 3 * b.T)
    assert all(v.dtype == np.float32 and v.flags.c_contiguous for v in arrays.values())


@pytest.mark.parametrize(
    ("state", "config"),
    [
        ({KEY.format("A"): np.zeros((2, 4))}, CONFIG),
        ({KEY.format("A").replace("q_proj", "k_proj"): np.zeros((2, 3))}, CONFIG),
        ({"base_model.model.lm_head.lora_A.weight": np.zeros((2, 3))}, CONFIG),
        ({KEY.format("A"): np.zeros((2, 3))}, CONFIG | {"rank_pattern": {"q_proj": 4}}),
    ],
)
def test_what_the_export_has_no_place_for_is_refused(state, config):
    with pytest.raises(BadFile):
        onnx_arrays(state, config, INPUTS)


def test_a_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(BadFile, match="missing"):
        read_facts(tmp_path)
    (tmp_path / "rejoinder.json").write_text(json.dumps({"layout": "other"}))
    with pytest.raises(BadFile, match="layout"):
        read_facts(tmp_path)


def test_an_architecture_without_lora_branches_is_refused(monkeypatch, base_dir, tmp_path):
    plain = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))

    def build_plain(source, out, cache, **named):
        out.mkdir()
        onnx.save(plain, out / "model.onnx")

    monkeypatch.setattr(module, "build", build_plain)
    with pytest.raises(FailedPrecondition, match="LoRA branches"):
        export_base(base_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()

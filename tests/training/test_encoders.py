"""training/encoders: whatever the family, the export says what transformers says; what is not taken is told why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rejoinder.core.errors import BadFile, ClaimTaken, DataLoss, FailedPrecondition
from rejoinder.core.modelfolder import TOKENIZER, verified
from rejoinder.core.pairtext import PairLayout
from rejoinder.runtime.backends.onnx import OnnxParams, open_graph
from rejoinder.runtime.batching.layouts import Layouts
from rejoinder.runtime.batching.textmodel import pad, words_of
from rejoinder.training import encoders
from rejoinder.training.encoders import export_encoder
from rejoinder.training.heads import causal as heads_causal

from tests.tinyencoders import FAMILIES, tiny_encoder

LONG = "list three rivers in france, then the hundred degrees of the egg. " * 12
PAIRS = (
    ("Why is the sky blue?", "Because light scatters in the air."),
    ("list three rivers", ""),
    ("", "Seine — Loïre\n\nRhône 日本 \u00a0½"),
    ("water?", LONG),
    (LONG, "no"),
    (LONG, LONG),
)
SHORT = ("bert", "xlm-roberta", "deberta-v2")


def families(*short: str) -> list[object]:
    return [name if name in short else pytest.param(name, marks=pytest.mark.proof) for name in FAMILIES]


def graph(folder: Path, name: str, rows: list) -> tuple[np.ndarray, np.ndarray]:
    """The output of all rows in one batch, and of each alone."""
    opened = open_graph(verified(folder), OnnxParams(threads=1))
    together = opened.infer(pad(rows))[name]
    return together, np.concatenate([opened.infer(pad([row]))[name] for row in rows])


@pytest.mark.parametrize("family", families(*SHORT))
def test_scores_are_those_of_transformers_alone_and_in_a_batch(family: str, tmp_path: Path) -> None:
    """Texts that are cut too, as the library cuts them."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source = tiny_encoder(tmp_path / "hf", family)
    export_encoder("score", source, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    expected = []
    with torch.no_grad():
        for first, second in PAIRS:
            # As a list: alone, an empty second text is taken for none.
            given = tokenizer([first], [second], truncation=True, max_length=96, return_tensors="pt")
            expected.append(float(model(**given).logits[0, 0]))
    layout, words = PairLayout.of(verified(tmp_path / "out").facts["layout"]), words_of(tmp_path / "out" / TOKENIZER)
    rows = [layout.ranked(*words.encode(pair)) for pair in PAIRS]
    assert max(len(row.ids) for row in rows) == layout.most == 96
    for found in graph(tmp_path / "out", "score", rows):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    # A control: these models tell the texts apart.
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("family", families("bert"))
@pytest.mark.parametrize("mode", ["mean", pytest.param("cls", marks=pytest.mark.proof)])
def test_embeddings_are_pooled_as_the_folder_says_and_of_length_one(family: str, mode: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    source = pooling(tiny_encoder(tmp_path / "hf", family, ""), mode)
    export_encoder("embedding", source, tmp_path / "out")
    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).eval()
    expected, texts = [], [text for pair in PAIRS for text in pair]
    with torch.no_grad():
        for text in texts:
            given = tokenizer(text, truncation=True, max_length=48, return_tensors="pt")
            states = model(**given).last_hidden_state[0].numpy()
            vector = states[0] if mode == "cls" else states.mean(0)
            expected.append(vector / np.linalg.norm(vector))
    rows = Layouts(verified(tmp_path / "out").facts).texts(words_of(tmp_path / "out" / TOKENIZER), texts)
    for found in graph(tmp_path / "out", "embedding", rows):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.proof
def test_a_sentence_encoders_vectors_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    from rejoinder.training.heads import package
    from sentence_transformers import SentenceTransformer

    texts = [text for pair in PAIRS for text in pair]
    export_encoder("embedding", package.base_folder(), tmp_path / "out")
    rows = Layouts(verified(tmp_path / "out").facts).texts(words_of(tmp_path / "out" / TOKENIZER), texts)
    wanted = SentenceTransformer(str(package.base_folder()), device="cpu").encode(texts, normalize_embeddings=True)
    for found in graph(tmp_path / "out", "embedding", rows):
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.proof
@pytest.mark.parametrize("family", encoders.CAUSAL)
def test_a_reward_model_on_a_causal_backbone_goes_the_way_of_those(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from rejoinder.runtime.backends.decoder import Decoder
    from rejoinder.runtime.backends.rows import BASE
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from tests.training.conftest import build_base

    (tmp_path / "base").mkdir()
    (tmp_path / "hf").mkdir()
    said = AutoConfig.from_pretrained(build_base(tmp_path / "base")).to_dict()
    kept = {
        name: said[name] for name in said if name.startswith(("num_", "hidden_s", "interm", "max_p", "vocab", "pad_"))
    }
    config = AutoConfig.for_model(family, **kept, head_dim=16, num_labels=1, initializer_range=0.15)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(tmp_path / "hf")
    AutoTokenizer.from_pretrained(tmp_path / "base").save_pretrained(tmp_path / "hf")
    made = export_encoder("score", tmp_path / "hf", tmp_path / "out")
    assert verified(tmp_path / "out").digest == made["digest"]
    ids = list(range(3, 40))
    with torch.no_grad():
        expected = float(model(torch.tensor([ids])).logits[0, 0])
    decoder = Decoder(tmp_path / "out", 1)
    assert float(decoder.read(decoder.cache(1, 37), 0, ids, 0, BASE)[-1, 0]) == pytest.approx(expected, abs=1e-4)
    # A control of the comparison at the export: the scalar layer is another one.
    monkeypatch.setattr(heads_causal, "_layer", lambda source: np.ones(kept["hidden_size"], np.float32))
    with pytest.raises(FailedPrecondition, match="says other than transformers"):
        export_encoder("score", tmp_path / "hf", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def pooling(folder: Path, mode: str, *more: str) -> Path:
    """Writes what sentence-transformers keeps beside a model: how it pools, and 48 tokens at most."""
    names = ("Transformer", "Pooling", "Normalize", *more)
    modules = [
        {"idx": at, "path": f"{at}_{name}" if at else "", "type": f"sentence_transformers.models.{name}"}
        for at, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {"pooling_mode_mean_tokens": mode == "mean", "pooling_mode_cls_token": mode == "cls"}
    modes["pooling_mode_max_tokens"] = mode == "max"
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **modes}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48}))
    return folder


def changed(folder: Path, name: str, **values: object) -> None:
    said = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    (folder / name).write_text(json.dumps(said | values))


@pytest.mark.parametrize(
    ("labels", "config", "tokenizer", "said"),
    [
        (3, {}, {}, "gives 3 labels; a score is one"),
        (1, {"architectures": ["BertForMaskedLM"]}, {}, "BertForMaskedLM, no …ForSequenceClassification"),
        (1, {"model_type": "mpnet"}, {}, "its family is mpnet; taken are bert, .*qwen2"),
        (1, {"model_type": "theirs"}, {}, "transformers does not know it"),
        (1, {}, {"chat_template": "{{ messages }}"}, "chat template"),
    ],
)
def test_what_is_not_taken_is_told_why(labels, config, tokenizer, said, tmp_path: Path) -> None:
    source = tiny_encoder(tmp_path / "hf", "bert", labels=labels)
    changed(source, "config.json", **config)
    changed(source, "tokenizer_config.json", **tokenizer)
    with pytest.raises(FailedPrecondition, match=said):
        export_encoder("score", source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf"]


def test_a_model_without_its_scalar_layer_is_not_served_with_a_drawn_one(tmp_path: Path) -> None:
    source = tiny_encoder(tmp_path / "hf", "bert", "")
    changed(source, "config.json", architectures=["BertForSequenceClassification"], num_labels=1)
    with pytest.raises(FailedPrecondition, match=r"weights lack classifier\.bias"):
        export_encoder("score", source, tmp_path / "out")


def test_a_sentence_encoder_of_other_parts_is_refused(tmp_path: Path) -> None:
    source = tiny_encoder(tmp_path / "hf", "bert", "")
    for made, said in (
        (("max",), "pools by max"),
        (("mean", "Dense"), "made of Transformer, Pooling, Normalize, Dense"),
    ):
        with pytest.raises(FailedPrecondition, match=said):
            export_encoder("embedding", pooling(source, *made), tmp_path / "out")
    pooling(source, "mean")
    changed(source, "config_sentence_transformers.json", default_prompt_name="query")
    with pytest.raises(FailedPrecondition, match="a prompt before each text"):
        export_encoder("embedding", source, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "holds", "said"),
    [
        ("modules.json", {}, None),
        ("modules.json", [{"path": ""}], "no list of modules"),
        ("modules.json", "x", "no list of modules"),
        ("sentence_bert_config.json", [1], "no JSON object"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "no number"),
    ],
)
def test_sentence_transformers_files_of_another_shape_are_named(name, holds, said, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(holds))
    if said is None:
        assert encoders._pooling(tmp_path) == "mean"
        return
    with pytest.raises(BadFile, match=said) as raised:
        encoders._pooling(tmp_path), encoders._sentence_places(tmp_path, "embedding")
    assert name in raised.value.message


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../other"])
def test_no_file_outside_of_the_model_is_read(path: str, tmp_path: Path) -> None:
    changed_modules(pooling(tmp_path, "mean"), 1, path)
    with pytest.raises(BadFile, match="outside of the model"):
        encoders._pooling(tmp_path)


def test_a_transformer_in_a_folder_of_its_own_is_refused_as_that(tmp_path: Path) -> None:
    changed_modules(pooling(tmp_path, "mean"), 0, "0_Transformer")
    with pytest.raises(FailedPrecondition, match="its transformer lies in 0_Transformer"):
        encoders._pooling(tmp_path)


def changed_modules(folder: Path, at: int, path: str) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[at]["path"] = path
    (folder / "modules.json").write_text(json.dumps(modules))


def test_a_tokenizer_that_cuts_at_the_other_end_is_refused_however_long_rows_may_be(tmp_path: Path) -> None:
    """DeBERTa's weights know no places, so that a tiny one may take long rows."""
    source = tiny_encoder(tmp_path / "hf", "deberta-v2")
    changed(source, "config.json", max_position_embeddings=2048)
    changed(source, "tokenizer_config.json", truncation_side="left")
    with pytest.raises(FailedPrecondition, match="joins or cuts texts"):
        export_encoder("score", source, tmp_path / "out")


def test_an_export_is_made_once_left_as_it_stands_and_never_taken_by_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tiny_encoder(tmp_path / "hf", "bert"), tmp_path / "exports" / "out"
    with monkeypatch.context() as patched:
        patched.setattr(encoders, "seal", lambda folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export_encoder("score", source, out)
    assert list(out.parent.iterdir()) == []
    made = export_encoder("score", source, out)
    monkeypatch.setattr(encoders, "_write", None)
    assert export_encoder("score", source, out) == made
    with pytest.raises(ClaimTaken, match="another model"):
        export_encoder("embedding", source, out)
    with monkeypatch.context() as patched:
        patched.setattr(encoders, "FORMAT", encoders.FORMAT + 1)
        with pytest.raises(ClaimTaken, match="another version"):
            export_encoder("score", source, out)
    (out / "model.onnx").write_bytes((out / "model.onnx").read_bytes()[:-1])
    with pytest.raises(DataLoss):
        export_encoder("score", source, out)
    (out / "digest").unlink()
    with pytest.raises(ClaimTaken, match="no complete export"):
        export_encoder("score", source, out)


def test_a_graph_that_says_other_than_torch_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control of the comparison: the graph reads no token types."""
    source = tiny_encoder(tmp_path / "hf", "bert")
    as_it_is = encoders._wrapped

    def untyped(*given):
        made = as_it_is(*given)
        made.typed = False
        return made

    monkeypatch.setattr(encoders, "_wrapped", untyped)
    with pytest.raises(FailedPrecondition, match="says other than transformers"):
        export_encoder("score", source, tmp_path / "out")


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    source = tiny_encoder(tmp_path / "hf", "bert", "")
    (source / "modules.json").write_text("{")
    with pytest.raises(BadFile, match=r"modules\.json"):
        export_encoder("embedding", source, tmp_path / "out")

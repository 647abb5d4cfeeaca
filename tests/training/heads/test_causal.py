"""training/heads/causal: a scalar layer in place of word logits, and the whole way from a Hugging Face folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rejoinder.core.errors import BadFile, ClaimTaken
from rejoinder.core.modelfolder import verified
from rejoinder.runtime.backends.decoder import Decoder
from rejoinder.runtime.backends.rows import BASE
from rejoinder.training.heads.__main__ import main
from rejoinder.training.heads.causal import export_causal, scoring

from tests.tinypolicy import tiny_policy

WORD = 17


def column() -> np.ndarray:
    """The weights by which the tiny policy's logit of WORD is made."""
    import onnx

    model = onnx.load(tiny_policy() / "export" / "model.onnx")
    (words,) = (each for each in model.graph.initializer if each.name == "lm_head.MatMul.weight")
    return onnx.numpy_helper.to_array(words)[:, WORD]


def test_the_scalar_layer_reads_what_the_word_logits_read(tmp_path):
    """With a word's own column as the layer, the score is that word's logit."""
    digest = scoring(tiny_policy() / "export", column(), tmp_path / "reward", None, [2])
    folder = verified(tmp_path / "reward", digest)
    assert folder.facts == {"budget": {"context": 384, "answer": 127}, "end": [2], "outputs": ["score"]}
    tokens = np.random.default_rng(0).integers(3, 390, 40).tolist()
    policy, reward = Decoder(tiny_policy() / "export", 1), Decoder(folder.path, 1)
    logits = np.array(policy.read(policy.cache(1, 40), 0, tokens, 0, BASE))
    scores = np.array(reward.read(reward.cache(1, 40), 0, tokens, 0, BASE))
    assert scores.shape == (40, 1)
    np.testing.assert_allclose(scores[:, 0], logits[:, WORD], atol=1e-4)


def test_a_language_model_is_no_reward_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}))
    with pytest.raises(BadFile, match="ForSequenceClassification"):
        export_causal(tmp_path, tmp_path / "out")


def test_an_earlier_model_is_replaced_and_nothing_else_that_stands_there(tmp_path, capsys):
    out, draft = tmp_path / "out", tiny_policy() / "export"
    out.mkdir()
    first = scoring(draft, np.ones(64), out, None, [2])
    second = scoring(draft, np.zeros(64), out, None, [2])
    assert verified(out).digest == second != first
    assert list(tmp_path.iterdir()) == [out]
    (out / "mine").mkdir()
    (out / "mine" / "notes").write_text("mine")
    with pytest.raises(ClaimTaken, match="something else"):
        scoring(draft, np.ones(64), out, None, [2])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis").write_text("mine")
    assert main(["causal", "--source", str(tmp_path), "--out", str(tmp_path / "home")]) == 2
    assert json.loads(capsys.readouterr().err)["error"] == "CLAIM_TAKEN"
    assert (out / "mine" / "notes").read_text() == (tmp_path / "home" / "thesis").read_text() == "mine"


@pytest.mark.proof
def test_scores_of_an_exported_reward_model_are_those_of_transformers(tmp_path):
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForSequenceClassification

    from tests.training.conftest import build_base

    source = tmp_path / "hf"
    source.mkdir()
    build_base(source)
    config = Qwen2Config.from_pretrained(source, num_labels=1)
    torch.manual_seed(0)
    model = Qwen2ForSequenceClassification(config).eval()
    model.save_pretrained(source)
    export_causal(source, tmp_path / "out")
    decoder = Decoder(tmp_path / "out", 1)
    tokenizer = AutoTokenizer.from_pretrained(source)
    talk = [{"role": "user", "content": "list three rivers"}, {"role": "assistant", "content": "seine loire rhone"}]
    ids = tokenizer.encode(tokenizer.apply_chat_template(talk, tokenize=False), add_special_tokens=False)
    with torch.no_grad():
        expected = float(model(torch.tensor([ids])).logits[0, 0])
    found = decoder.read(decoder.cache(1, len(ids)), 0, ids, 0, BASE)[-1, 0]
    assert float(found) == pytest.approx(expected, abs=1e-4)
    end = json.loads((tmp_path / "out" / "model.json").read_text())["end"]
    assert ids[-len(end) :] == end

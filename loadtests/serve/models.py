"""The models that every side serves, made once and kept in `build/serve`: one set of weights in each side's format.

`classifier`: the package's sentence encoder with its pooler and one label, as `…ForSequenceClassification` and as our
model folder. `reward`, `policy`: a Qwen2 of 15 million random weights and 2,048 positions; what it says matters to no
speed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from loadtests.processes import ROOT

KEPT = ROOT / "build" / "serve"
_MADE_BY = ("torch", "transformers", "onnxruntime-genai", "onnxruntime")
#: What of a pair is kept by our layout: more than any text of the bench has, for the peer cuts at 512 together.
_CONTEXT, _ANSWER = 128, 380


@dataclass(frozen=True)
class Models:
    folder: Path

    @property
    def classifier(self) -> Path:
        return self.folder / "classifier"

    @property
    def classifier_hf(self) -> Path:
        return self.folder / "classifier-hf"

    @property
    def reward(self) -> Path:
        return self.folder / "reward"

    @property
    def policy(self) -> Path:
        return self.folder / "policy"

    @property
    def policy_hf(self) -> Path:
        return self.folder / "policy-hf"


def made() -> Models:
    """Made when missing: a minute."""
    text = "\n".join([*map(version, _MADE_BY), Path(__file__).read_text("utf-8")])
    folder = KEPT / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not folder.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
            work = Path(scratch) / "made"
            work.mkdir()
            _classifier(Models(work))
            _causal(Models(work))
            work.rename(folder)
    return Models(folder)


def _classifier(models: Models) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal
    from rejoinder.training.heads.package import base_folder, to_onnx
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(base_folder(), num_labels=1).eval()
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(models.classifier_hf)
    AutoTokenizer.from_pretrained(base_folder()).save_pretrained(models.classifier_hf)

    class Score(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits[:, 0]

    models.classifier.mkdir()
    to_onnx(Score().eval(), models.classifier / GRAPH, "score")
    shutil.copyfile(base_folder() / TOKENIZER, models.classifier / TOKENIZER)
    facts = {"budget": {"context": _CONTEXT, "answer": _ANSWER}, "outputs": ["score"]}
    (models.classifier / FACTS).write_text(json.dumps(facts), "utf-8")
    seal(models.classifier)


def _causal(models: Models) -> None:
    import torch
    from rejoinder.training.export import export_base
    from rejoinder.training.heads.causal import export_causal
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "build" / "models" / "base")
    config = Qwen2Config(
        vocab_size=2048,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        num_labels=1,
        tie_word_embeddings=True,
    )
    for name, kind in (("reward", Qwen2ForSequenceClassification), ("policy", Qwen2ForCausalLM)):
        folder = models.folder / f"{name}-hf"
        torch.manual_seed(0)
        kind(config).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    export_causal(models.folder / "reward-hf", models.reward)
    export_base(models.policy_hf, models.policy)

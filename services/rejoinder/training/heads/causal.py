"""From a Hugging Face reward model with a causal backbone to a model folder that the reward service loads.

The backbone is exported as a policy's base is (GroupQueryAttention over shared past and present, so that a context is
read once); in place of its word logits the graph gives `score`, the scalar layer's value at every token.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.answertext import AnswerBudget
from rejoinder.core.errors import BadFile, ClaimTaken, DataLoss
from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal, verified
from rejoinder.training.builder import build

OUTPUT = "score"
_CONFIG, _GENAI = "config.json", "genai_config.json"
_DATA = "model.onnx.data"
_CLASSIFIER, _LANGUAGE = "ForSequenceClassification", "ForCausalLM"


def export_causal(source: Path, out: Path, budget: AnswerBudget | None = None) -> str:
    """Writes the folder of a `…ForSequenceClassification` of one label, with its tokenizer and chat template, and
    returns its digest. budget: tokens kept; by default three quarters of the context are the conversation's.

    Raises BadFile for another architecture, FailedPrecondition where the builder cannot export it, ClaimTaken where
    something else than a model folder stands at `out`.
    """
    _refuse_what_is_not_ours(out)
    config = json.loads((source / _CONFIG).read_text("utf-8"))
    if not config["architectures"][0].endswith(_CLASSIFIER):
        raise BadFile(f"the reward model is no {_CLASSIFIER}", field="architectures")
    end = _end(source)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.") as scratch:
        work = Path(scratch)
        build(_as_language_model(source, config, work), work / "draft", work / "cache", field="source")
        if not (work / "draft" / TOKENIZER).exists():
            raise BadFile("the reward model has no tokenizer.json", field="source")
        return scoring(work / "draft", _layer(source), out, budget, end)


def scoring(export: Path, layer: np.ndarray, out: Path, budget: AnswerBudget | None, end: list[int]) -> str:
    """Writes a causal export anew with a scalar layer (hidden,) in place of its word logits; the folder's digest.

    end: token ids that stand after an answer. A model folder that stands at `out` is replaced. Raises BadFile where the
    graph's last step is not one product, ClaimTaken as `export_causal` does.
    """
    _refuse_what_is_not_ours(out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        aside, old = Path(scratch) / "new", Path(scratch) / "old"
        digest = _written(export, layer, aside, budget, end)
        if out.exists():
            out.rename(old)
        aside.rename(out)
    return digest


def _refuse_what_is_not_ours(out: Path) -> None:
    """Raises ClaimTaken unless `out` is free, empty, or a model folder as its digest says: that one may be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        verified(out)
        # A digest names files, no folders.
        ours = all(path.is_file() for path in out.iterdir())
    except (BadFile, DataLoss):
        ours = False
    if not ours:
        raise ClaimTaken(f"{out} holds something else than an exported model; remove it or name another", out=out.name)


def _written(export: Path, layer: np.ndarray, aside: Path, budget: AnswerBudget | None, end: list[int]) -> str:
    import onnx

    shutil.copytree(export, aside)
    model = onnx.load(aside / GRAPH)
    graph = model.graph
    last = next(node for node in graph.node if "logits" in node.output)
    if last.op_type != "MatMul":
        raise BadFile(f"the graph ends with {last.op_type}, not with a product", field="logits")
    words = last.input[1]
    last.input[1], last.output[0] = f"{OUTPUT}.weight", OUTPUT
    graph.initializer.append(onnx.numpy_helper.from_array(layer.astype(np.float32)[:, None], last.input[1]))
    if not any(words in node.input for node in graph.node):
        graph.initializer.remove(next(each for each in graph.initializer if each.name == words))
    given = next(output for output in graph.output if output.name == "logits")
    given.name = OUTPUT
    given.type.tensor_type.shape.dim[-1].dim_value = 1
    (aside / _DATA).unlink(missing_ok=True)
    onnx.save_model(model, aside / GRAPH, save_as_external_data=True, location=_DATA)
    config = json.loads((aside / _GENAI).read_text("utf-8"))
    config["model"]["decoder"]["outputs"]["logits"] = OUTPUT
    (aside / _GENAI).write_text(json.dumps(config, indent=1), "utf-8")
    kept = budget or _budget(config["model"]["context_length"], len(end))
    facts: Mapping[str, Any] = {"budget": asdict(kept), "end": end, "outputs": [OUTPUT]}
    (aside / FACTS).write_text(json.dumps(facts, indent=1), "utf-8")
    return seal(aside)


def _budget(context: int, end: int) -> AnswerBudget:
    return AnswerBudget(context * 3 // 4, context - context * 3 // 4 - end)


def _layer(source: Path) -> np.ndarray:
    """(hidden,) weights of the scalar layer. Raises BadFile."""
    from safetensors import safe_open

    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if "score.weight" in file.keys():  # noqa: SIM118 - a file, not a mapping
                weight = file.get_tensor("score.weight").float().numpy()
                if len(weight) != 1:
                    raise BadFile("the reward model gives more than one value", field="score")
                return weight[0]
    raise BadFile("the reward model has no scalar layer", field="score")


def _end(source: Path) -> list[int]:
    """What the chat template sets after an answer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    mark = "0123456789"
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": mark}]
    text = tokenizer.apply_chat_template(talk, tokenize=False)
    # With tokenize=False one conversation is one text.
    found: list[int] = tokenizer.encode(str(text).rpartition(mark)[2], add_special_tokens=False)
    if not found:
        raise BadFile("the chat template sets nothing after an answer", field="chat_template")
    return found


def _as_language_model(source: Path, config: Mapping[str, Any], work: Path) -> Path:
    """The same folder under the name of its language model: the builder knows no other."""
    base = work / "base"
    base.mkdir()
    for path in source.iterdir():
        if path.name != _CONFIG:
            (base / path.name).symlink_to(path.resolve())
    named = [name.replace(_CLASSIFIER, _LANGUAGE) for name in config["architectures"]]
    (base / _CONFIG).write_text(json.dumps({**config, "architectures": named}), "utf-8")
    return base

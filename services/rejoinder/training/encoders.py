"""A Hugging Face classifier or sentence encoder as a model folder that reward and rerank load.

    score       …ForSequenceClassification of one label: a cross-encoder, a reward model. Its logit as it came.
    embedding   a sentence encoder: its pooled state, of length 1.

Every graph takes input_ids, attention_mask and token_type_ids, padded with anything on the right: the model's own pad
id is set inside, and token types go to those that know them. What the tokenizer sets around one text and two is read
off it and becomes the fact `layout` (core/pairtext.py). Before an export is taken it is compared with transformers.
A reward model on a causal backbone is exported by heads/causal.py, and its score at a text's last token compared.
"""

from __future__ import annotations

import inspect
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import BadFile, ClaimTaken, FailedPrecondition
from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, Kind, seal, verified
from rejoinder.core.pairtext import PairLayout
from rejoinder.training.publish import sync_tree, tree_digest

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
#: Families whose graphs are compared with transformers in tests.
FAMILIES = ("bert", "distilbert", "electra", "roberta", "camembert", "xlm-roberta", "deberta-v2", "modernbert")
#: Of these, whose places are counted from behind the pad id.
_SHIFTED = ("roberta", "camembert", "xlm-roberta")
#: Language models whose classifiers heads/causal.py takes.
CAUSAL = ("qwen2",)
#: What graph and torch may differ by, of scores about 1: rounding is 1e-6, a lost weight tenths.
TOLERANCE = 1e-3
#: What this room makes of a model: another number makes new folders beside those of an earlier version.
FORMAT = 2
#: One text and two, short and longer, in letters that any vocabulary knows some of.
_PROBES = (
    ("How long does an egg boil?", "Seven minutes in boiling water, then cold water."),
    ("water", "Why is the sky blue? Because light scatters in the air. " * 16),
    ("Ein Satz auf Deutsch, mit Umlauten: äöü. " * 3, "no"),
)


def export_encoder(kind: Kind, source: Path, out: Path) -> dict[str, Any]:
    """Writes the folder, complete or not at all; returns its facts and its digest. An export of this model that
    stands there already is verified and left.

    Raises FailedPrecondition, which says what is wrong, for a model that is not taken; ClaimTaken where something
    else stands at `out`; DataLoss where what stands there is not what its digest says.
    """
    made_from = {"model": tree_digest(source)[0], "format": FORMAT}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _standing(out, kind, made_from)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        aside = Path(scratch) / "new"
        _write(kind, source, aside)
        facts = json.loads((aside / FACTS).read_text("utf-8")) | {"kind": kind, "made_from": made_from}
        (aside / FACTS).write_text(json.dumps(facts, indent=1), "utf-8")
        digest = seal(aside)
        sync_tree(aside)
        os.rename(aside, out)
    sync_folder(out.parent)
    return facts | {"digest": digest}


def _standing(out: Path, kind: Kind, made_from: Mapping[str, Any]) -> dict[str, Any]:
    try:
        there = verified(out)
    except (BadFile, NotADirectoryError):
        raise ClaimTaken(f"{out.name} exists and holds no complete export", out=out.name) from None
    if (there.facts.get("kind"), there.facts.get("made_from")) != (kind, made_from):
        raise ClaimTaken(
            f"{out.name} holds another model, or an export of another version; remove it or name another folder",
            out=out.name,
        )
    return dict(there.facts) | {"digest": there.digest}


def _write(kind: Kind, source: Path, aside: Path) -> None:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, OSError) as error:
        raise _refused(source, f"transformers does not know it ({type(error).__name__})") from None
    family, kinds = config.model_type, [str(name) for name in config.architectures or []]
    if kind == "score":
        if not any(name.endswith("ForSequenceClassification") for name in kinds):
            raise _refused(
                source, f"it is a {', '.join(kinds) or 'model without a head'}, no …ForSequenceClassification"
            )
        if config.num_labels != 1:
            raise _refused(source, f"it gives {config.num_labels} labels; a score is one")
        if family in CAUSAL:
            from rejoinder.training.heads.causal import export_causal

            export_causal(source, aside)
            _compare_causal(source, aside)
            return
    if family not in FAMILIES:
        known = [*FAMILIES, *(CAUSAL if kind == "score" else ())]
        raise _refused(source, f"its family is {family}; taken are {', '.join(known)}")
    tokenizer = _tokenizer(source)
    model, pooled = _scorer(source) if kind == "score" else _embedder(source)
    most = min(_places(config), tokenizer.model_max_length, *_sentence_places(source, kind))
    layout = _layout(tokenizer, model, most)
    aside.mkdir()
    raw = tokenizer.backend_tokenizer
    raw.no_truncation()
    raw.no_padding()
    raw.save(str(aside / TOKENIZER))
    _to_onnx(_wrapped(model, config.pad_token_id or 0, pooled), aside / GRAPH, kind, layout)
    (aside / FACTS).write_text(json.dumps({"outputs": [kind], "layout": layout.facts(), "family": family}), "utf-8")
    _compare(kind, aside, tokenizer, model, pooled, layout)


def _refused(source: Path, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"{source.name} cannot be exported: {why}", field="model")


def _tokenizer(source: Path) -> Any:
    from transformers import AutoTokenizer

    if not (source / TOKENIZER).is_file():
        raise _refused(source, f"it has no {TOKENIZER}")
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    if tokenizer.chat_template:
        # Its turns would have to be laid out by that template, and encoders are given plain text here.
        raise _refused(source, "it is an encoder whose tokenizer has a chat template")
    return tokenizer


Pooled = Callable[[Any, Any], Any]


def _scorer(source: Path) -> tuple[Any, Pooled]:
    from transformers import AutoModelForSequenceClassification

    return _loaded(AutoModelForSequenceClassification, source), lambda given, mask: given.logits[:, 0]


def _embedder(source: Path) -> tuple[Any, Pooled]:
    import torch
    from transformers import AutoModel

    mode = _pooling(source)

    def pooled(given: Any, mask: Any) -> Any:
        """(B, T, D) states → (B, D) of length 1."""
        states = given.last_hidden_state
        if mode == "mean":
            inside = mask[..., None].to(states.dtype)
            states = (states * inside).sum(1) / inside.sum(1).clamp(min=1e-9)
        else:
            states = states[:, 0]
        return torch.nn.functional.normalize(states, dim=-1)

    return _loaded(AutoModel, source), pooled


def _loaded(auto: Any, source: Path) -> Any:
    import torch

    model, told = auto.from_pretrained(
        source,
        dtype=torch.float32,
        # Its mask is plain arithmetic, which a trace keeps for every length.
        attn_implementation="eager",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    # What is missing is drawn at random. A sentence encoder's pooler is not read.
    missing = sorted(name for name in told["missing_keys"] if auto.__name__ != "AutoModel" or "pooler" not in name)
    if missing:
        raise _refused(source, f"its weights lack {', '.join(missing[:3])}")
    return model.eval()


def _pooling(source: Path) -> str:
    """mean or cls, as sentence-transformers' own files say; mean where there are none, as there."""
    said = _object(source / "config_sentence_transformers.json")
    if said.get("default_prompt_name"):
        raise _refused(source, "it sets a prompt before each text, which the ranker does not")
    if _object(source / "sentence_bert_config.json").get("do_lower_case"):
        raise _refused(source, "it lowers letters outside of its tokenizer")
    modules = _modules(source / "modules.json")
    names = [name for name, _ in modules]
    if not names:
        return "mean"
    if names[:2] != ["Transformer", "Pooling"] or names[2:] not in ([], ["Normalize"]):
        raise _refused(source, f"it is made of {', '.join(names)}; taken are Transformer, Pooling, Normalize")
    if modules[0][1]:
        raise _refused(source, f"its transformer lies in {modules[0][1]}; taken is one beside modules.json")
    folder = PurePosixPath(modules[1][1])
    if folder.is_absolute() or ".." in folder.parts:
        raise BadFile("modules.json names a folder outside of the model", file="modules.json")
    found = _object(source / folder / "config.json")
    modes = [name.removeprefix("pooling_mode_") for name, on in found.items() if on is True and "pooling_mode_" in name]
    mode = found.get("pooling_mode") or [{"mean_tokens": "mean", "cls_token": "cls"}.get(name, name) for name in modes]
    (mode,) = mode if isinstance(mode, list) and len(mode) == 1 else (mode,)
    if mode not in ("mean", "cls"):
        raise _refused(source, f"it pools by {mode}; taken are mean and cls")
    return str(mode)


def _modules(path: Path) -> list[tuple[str, str]]:
    """(class, folder) of each; none where there is no file. Raises BadFile."""
    try:
        return [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in _json(path, [])]
    except (KeyError, TypeError):
        raise BadFile(f"{path.name} is no list of modules with type and path", file=path.name) from None


def _object(path: Path) -> Mapping[str, Any]:
    """Empty where there is no file. Raises BadFile."""
    found = _json(path, {})
    if not isinstance(found, dict):
        raise BadFile(f"{path.name} is no JSON object", file=path.name)
    return found


def _json(path: Path, missing: Any) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return missing
    except ValueError:
        raise BadFile(f"{path.name} is no JSON", file=path.name) from None


def _places(config: Any) -> int:
    """Tokens that the model has places for."""
    shift = config.pad_token_id + 1 if config.model_type in _SHIFTED else 0
    return int(config.max_position_embeddings) - shift


def _sentence_places(source: Path, kind: Kind) -> list[int]:
    said = _object(source / "sentence_bert_config.json").get("max_seq_length") if kind == "embedding" else None
    if not isinstance(said, int | None):
        raise BadFile("sentence_bert_config.json: max_seq_length is no number", file="sentence_bert_config.json")
    return [said] if said else []


def _reads_types(model: Any) -> bool:
    named = "token_type_ids" in inspect.signature(model.forward).parameters
    return named and getattr(model.config, "type_vocab_size", 0) > 1


def _layout(tokenizer: Any, model: Any, most: int) -> PairLayout:
    """What the tokenizer sets around texts. Raises FailedPrecondition where that is not one thing before, one between
    and one after."""
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in _PROBES[0])
    given = tokenizer(*_PROBES[0])
    both, alone = list(given["input_ids"]), list(tokenizer(_PROBES[0][0])["input_ids"])
    begin = _find(alone, first)
    start, cut = _find(both, first), _find(both, second)
    if min(begin, start, cut) < 0 or cut < start + len(first):
        raise _refused(Path(tokenizer.name_or_path), "its tokenizer changes texts that it joins")
    types = given.get("token_type_ids") or [0] * len(both)
    layout = PairLayout(
        (tuple(alone[:begin]), tuple(alone[begin + len(first) :])),
        (tuple(both[:start]), tuple(both[start + len(first) : cut]), tuple(both[cut + len(second) :])),
        int(types[cut]) if _reads_types(model) else 0,
        most,
    )
    # A word is a token at least: it is cut, whatever the model has places for.
    long = "Why is the sky blue? " * (most // 5 + 1)
    for texts in (*_PROBES, (_PROBES[0][0], long), (long, _PROBES[0][1]), (long, long), (long,)):
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        laid = layout.ranked(*ids) if len(ids) == 2 else layout.alone(*ids)
        wanted = tokenizer(*texts, truncation=True, max_length=most, return_token_type_ids=True)
        same = list(laid.ids) == list(wanted["input_ids"])
        if _reads_types(model):
            same = same and list(laid.types) == list(wanted["token_type_ids"])
        if not same:
            said = "its tokenizer joins or cuts texts in a way that is not known here"
            raise _refused(Path(tokenizer.name_or_path), said)
    return layout


def _find(row: Sequence[int], part: Sequence[int]) -> int:
    """Where `part` begins in `row`, -1 = nowhere."""
    found = (at for at in range(len(row) - len(part) + 1) if list(row[at : at + len(part)]) == list(part))
    return next(found, -1)


def _wrapped(model: Any, pad: int, pooled: Pooled) -> Any:
    from torch import Tensor, nn, where

    class Wrapped(nn.Module):
        """What differs between families, inside the graph."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.typed = _reads_types(model)

        def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
            given = {"input_ids": where(mask > 0, ids, pad), "attention_mask": mask}
            if self.typed:
                given["token_type_ids"] = types
            return pooled(self.model(**given), mask)

    return Wrapped().eval()


def _to_onnx(model: Any, path: Path, output: str, layout: PairLayout) -> None:
    """The fp32 graph with free batch and length."""
    import onnx
    import torch

    from rejoinder.training.heads.cache import tensors

    # Some token of the vocabulary, and rows of two lengths: what is traced has padding.
    word = max(layout.text[0] + layout.text[1] + (5,))
    example = tensors([layout.ranked([word] * 3, [word] * 4), layout.ranked([word], [word])])
    axes = {name: {0: "rows", 1: "tokens"} for name in INPUTS} | {output: {0: "rows"}}
    with torch.no_grad(), warnings.catch_warnings():
        # The tracing exporter is deprecated and several times faster than the new one; what it made is compared.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            example,
            str(path),
            input_names=list(INPUTS),
            output_names=[output],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    made = onnx.load(path, load_external_data=False)
    # A caller sends all three, whatever the model reads.
    for name in sorted(set(INPUTS) - {given.name for given in made.graph.input}):
        shape = ["rows", "tokens"]
        made.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape))
    onnx.save_model(made, path)


def _compare(kind: Kind, aside: Path, tokenizer: Any, model: Any, pooled: Pooled, layout: PairLayout) -> None:
    """Raises FailedPrecondition where graph, layout or tokenizer file say other than transformers does, alone or in a
    batch."""
    import onnxruntime
    import torch
    from tokenizers import Tokenizer

    from rejoinder.training.heads.cache import tensors

    raw = Tokenizer.from_file(str(aside / TOKENIZER))
    session = onnxruntime.InferenceSession(str(aside / GRAPH), providers=["CPUExecutionProvider"])
    rows, expected = [], []
    for asked, answer in _PROBES:
        first, second = (raw.encode(text, add_special_tokens=False).ids for text in (asked, answer))
        rows.append(layout.ranked(first, second) if kind == "score" else layout.alone(second))
        texts = (asked, answer) if kind == "score" else (answer,)
        given = tokenizer(*texts, truncation=True, max_length=layout.most, return_tensors="pt")
        with torch.no_grad():
            expected.append(pooled(model(**given), given["attention_mask"])[0].numpy())

    def run(some: Sequence[Any]) -> np.ndarray:
        feeds: Mapping[str, np.ndarray] = {
            name: value.numpy() for name, value in zip(INPUTS, tensors(some), strict=True)
        }
        return np.asarray(session.run([kind], feeds)[0])

    together, alone = run(rows), np.concatenate([run([row]) for row in rows])
    wanted = np.stack(expected)
    _refuse_difference(wanted, together, alone)


def _compare_causal(source: Path, aside: Path) -> None:
    """As above, of texts alone: the score at the last token. The layout is the chat template's own."""
    import onnxruntime
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    model = _loaded(AutoModelForSequenceClassification, source)
    places = _places(model.config)
    rows = [tokenizer(" ".join(texts), add_special_tokens=False)["input_ids"][:places] for texts in _PROBES]
    with torch.no_grad():
        # The value at every token, of which the classifier would look for the last by its pad id.
        states = [model.model(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows]
        wanted = torch.stack([model.score(state) for state in states]).numpy()
    # Two of them would be twice the memory.
    del model, states
    session = onnxruntime.InferenceSession(str(aside / GRAPH), providers=["CPUExecutionProvider"])

    sizes = json.loads((aside / "genai_config.json").read_text("utf-8"))["model"]["decoder"]

    def score(row: Sequence[int]) -> np.ndarray:
        ids = np.array([row], dtype=np.int64)
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(len(row))[None]}
        feeds = {}
        for given in session.get_inputs():
            if given.name in known:
                feeds[given.name] = known[given.name]
            else:
                # A past: (rows, heads, tokens, head size), and there is none.
                feeds[given.name] = np.zeros((1, sizes["num_key_value_heads"], 0, sizes["head_size"]), np.float32)
        return np.asarray(session.run(["score"], feeds)[0])[0, -1]

    _refuse_difference(wanted, np.stack([score(row) for row in rows]))


def _refuse_difference(wanted: np.ndarray, *founds: np.ndarray) -> None:
    scale = max(1.0, float(np.abs(wanted).max()))
    off = max(float(np.abs(found - wanted).max()) for found in founds) / scale
    # Not a number is not below it either.
    if not off <= TOLERANCE:
        raise FailedPrecondition(f"the exported graph says other than transformers does, by {off:.2g}", field="model")

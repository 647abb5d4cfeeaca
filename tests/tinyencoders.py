"""Tiny random encoders with tokenizers of their families' own special tokens and joins, as Hugging Face folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CORPUS = (
    "the water boils at one hundred degrees celsius, why is the sky blue? because light scatters in the air. "
    "seven minutes for an egg, then cold water; ein satz auf deutsch mit umlauten äöü. list three rivers in france"
)
BERT = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"}
ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
#: Family → what of its configuration is its own.
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {"max_position_embeddings": 96, "type_vocab_size": 2},
    "distilbert": {"max_position_embeddings": 96, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4},
    "electra": {"max_position_embeddings": 96, "embedding_size": 32, "type_vocab_size": 2},
    "roberta": {"max_position_embeddings": 98, "type_vocab_size": 1},
    "camembert": {"max_position_embeddings": 98, "type_vocab_size": 1},
    "xlm-roberta": {"max_position_embeddings": 98, "type_vocab_size": 1},
    "deberta-v2": {
        "max_position_embeddings": 96,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "pooler_hidden_size": 32,
    },
    "modernbert": {"max_position_embeddings": 96, "local_attention": 16, "global_attn_every_n_layers": 2},
}


def tiny_encoder(folder: Path, family: str, head: str = "ForSequenceClassification", labels: int = 1) -> Path:
    """Writes the folder of a model of so many labels; `head` "" is the model without one."""
    import torch
    import transformers

    names = ROBERTA if family in ("roberta", "camembert", "xlm-roberta") else BERT
    tokenizer = _tokenizer(names, family)
    kept = {"pad_token_id": tokenizer.pad_token_id, "cls_token_id": tokenizer.cls_token_id}
    config = transformers.AutoConfig.for_model(
        family, vocab_size=len(tokenizer), num_labels=labels, **{**SIZES, **kept, **FAMILIES[family]}
    )
    auto = transformers.AutoModelForSequenceClassification if head else transformers.AutoModel
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = auto.from_config(config)
        # Fresh biases are zero, and an export that lost them would go unnoticed.
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(names: dict[str, str], family: str) -> Any:
    """BERT: lower-cased words by WordPiece; RoBERTa: byte-level BPE, two separators between; the others: Unigram."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = list(names.values())
    cls, sep = names["cls"], names["sep"]
    if family in ("roberta", "modernbert"):
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        train: Any = trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    elif family in ("bert", "distilbert", "electra"):
        raw = Tokenizer(models.WordPiece(unk_token=names["unk"]))
        raw.normalizer = normalizers.BertNormalizer(lowercase=True)
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        train = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    else:
        raw = Tokenizer(models.Unigram())
        raw.normalizer = normalizers.NFKC()
        raw.pre_tokenizer = pre_tokenizers.Metaspace()
        train = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token=names["unk"], show_progress=False
        )
    raw.train_from_iterator([CORPUS] * 4, train)
    between = f"{sep} {sep}" if names is ROBERTA else sep
    typed = "" if names is ROBERTA else ":1"
    raw.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {between} $B{typed} {sep}{typed}",
        special_tokens=[(name, raw.token_to_id(name)) for name in (cls, sep)],
    )
    inputs = ["input_ids", "attention_mask"]
    if family in ("bert", "electra", "deberta-v2"):
        inputs.insert(1, "token_type_ids")
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, model_input_names=inputs, **{f"{key}_token": value for key, value in names.items()}
    )

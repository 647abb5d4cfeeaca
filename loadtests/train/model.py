"""The model of the bench: Qwen2's shape with random weights, its tokenizer of numbered words, and a seeded adapter.

Random weights cost what trained ones cost. A layer is as Qwen2 makes it: grouped queries, biases on queries, keys and
values, a gated MLP, tied embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

END = "<|im_end|>"
RANK, ALPHA = 8, 16.0


@dataclass(frozen=True)
class Shape:
    """layers, hidden: of the decoder. vocabulary: words. The head's products are .37 of a token's in the decoder, as in
    Qwen2-0.5B (.38); more layers make that less (four: .19, as in Qwen2-1.5B), and every side slower."""

    layers: int = 2
    hidden: int = 512
    vocabulary: int = 4096


def build(folder: Path, shape: Shape) -> int:
    """Writes base and tokenizer in the layout of every base; returns how many parameters it has."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    words = {END: 0, **{f"w{number}": number for number in range(1, shape.vocabulary)}}
    raw = Tokenizer(models.WordLevel(words, unk_token=END))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token=END)
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.hidden * 11 // 4,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 64,
        num_key_value_heads=max(1, shape.hidden // 256),
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def stirred(model: Any, adapter: str) -> dict[str, torch.Tensor]:
    """The adapter's parameters by name without the adapter's, both of its factors drawn anew: a fresh one changes
    nothing, and half of its gradient is zero."""
    found = {
        name.replace(f".{adapter}.", "."): parameter
        for name, parameter in sorted(model.named_parameters())
        if f".{adapter}." in name
    }
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in found.values():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.02)
    return found

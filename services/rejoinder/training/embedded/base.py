"""Trains the base policy from random weights: a small Qwen2 on the corpus, on two cores in minutes.

Hidden matrices are stepped by Muon (momentum made orthogonal; K. Jordan 2024, 2502.16982), the rest by AdamW.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from rejoinder.training.embedded import tokenizer as bpe
from rejoinder.training.embedded.corpus import Exchange

WINDOW = 600  # exchanges sorted by length together


@dataclass(frozen=True)
class BaseParams:
    """Shape and schedule. Everything here is part of the build's digest."""

    vocabulary: int = 2048
    hidden: int = 192
    layers: int = 4
    inner: int = 576
    heads: int = 6
    kv_heads: int = 2
    context: int = 512
    exchanges: int = 84000
    tokens_per_batch: int = 3072
    """Padded tokens in one step."""
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    warmup_share: float = 0.05
    decay_share: float = 0.4
    """Share of the steps at the end with a falling rate."""


@dataclass(frozen=True)
class Batch:
    """ids, learnt (B, T): token ids, right-padded, and whether the loss is on each; mask (B, T): 1 where no padding."""

    ids: Tensor
    learnt: Tensor
    mask: Tensor


def architecture(params: BaseParams, tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=params.hidden,
        num_hidden_layers=params.layers,
        intermediate_size=params.inner,
        num_attention_heads=params.heads,
        num_key_value_heads=params.kv_heads,
        max_position_embeddings=params.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def batches(
    exchanges: Sequence[Exchange], tokenizer: PreTrainedTokenizerFast, params: BaseParams, rng: np.random.Generator
) -> list[Batch]:
    """Batches of like lengths within the token budget; the corpus's order holds from one window to the next."""
    out: list[Batch] = []
    for at in range(0, len(exchanges), WINDOW):
        rows = [bpe.encode(tokenizer, e.turns) for e in exchanges[at : at + WINDOW]]
        rows.sort(key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for row in rows:
            if (len(groups[-1]) + 1) * _width(row[0]) > params.tokens_per_batch and groups[-1]:
                groups.append([])
            groups[-1].append(row)
        out += [_pad(groups[i], tokenizer.pad_token_id) for i in rng.permutation(len(groups))]
    return out


def _width(ids: Sequence[int]) -> int:
    """Padded length: a few widths instead of every one keep compiled kernels and memory few."""
    return -(-len(ids) // 8) * 8


def _pad(rows: Sequence[tuple[list[int], list[bool]]], pad: int) -> Batch:
    width = max(_width(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), pad)
    learnt = torch.zeros((len(rows), width), dtype=torch.bool)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, (row, where) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        learnt[i, : len(row)] = torch.tensor(where)
        mask[i, : len(row)] = 1
    return Batch(ids, learnt, mask)


def loss(model: Qwen2ForCausalLM, batch: Batch) -> Tensor:
    """Mean negative log-likelihood of the learnt tokens, in nats; the vocabulary is projected for those alone.

    Padding stands at the right, so the causal mask is all the attention needs.
    """
    hidden_BTD = model.model(input_ids=batch.ids).last_hidden_state
    where = batch.learnt[:, 1:]
    logits_ND = model.lm_head(hidden_BTD[:, :-1][where])
    return F.cross_entropy(logits_ND.float(), batch.ids[:, 1:][where])


def train(
    exchanges: Sequence[Exchange], tokenizer: PreTrainedTokenizerFast, params: BaseParams, seed: int
) -> tuple[Qwen2ForCausalLM, list[float]]:
    """One pass over the exchanges in bf16 autocast. Returns the model in fp32 and the loss of each step."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(architecture(params, tokenizer)).train()
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = (
        torch.optim.Muon(matrices, lr=params.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(rest, lr=params.adam_lr, betas=(0.9, 0.95), weight_decay=0.01),
    )
    peaks = [group["lr"] for opt in optimizers for group in opt.param_groups]
    todo = batches(exchanges, tokenizer, params, np.random.default_rng(seed))
    losses: list[float] = []
    for batch, scale in zip(todo, _schedule(len(todo), params), strict=True):
        for group, peak in zip((g for opt in optimizers for g in opt.param_groups), peaks, strict=True):
            group["lr"] = peak * scale
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in optimizers:
            opt.step()
            opt.zero_grad(set_to_none=True)
        losses.append(value.item())
    return model.eval(), losses


def _schedule(steps: int, params: BaseParams) -> Iterator[float]:
    warm, cool = max(1, int(steps * params.warmup_share)), max(1, int(steps * params.decay_share))
    for step in range(steps):
        yield min(1.0, (step + 1) / warm, max(0.02, (steps - step) / cool))

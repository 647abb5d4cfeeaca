"""Samples answers token by token, in batches: what a server would do, without a server."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM
from transformers.cache_utils import DynamicCache

from rejoinder.training.embedded import tokenizer as bpe

Turns = Sequence[tuple[str, str]]


@torch.inference_mode()
def sample(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Turns],
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    max_new: int = 72,
    rows: int = 256,
) -> list[str]:
    """One answer for each prompt (turns that end with the user's), in the prompts' order.

    temperature: above 0; 1.0 is the policy itself. max_new: tokens after which an answer is cut off.
    """
    head = tokenizer.encode(f"{bpe.START}assistant\n", add_special_tokens=False)
    ids = [bpe.encode(tokenizer, turns)[0] + head for turns in prompts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = [""] * len(ids)
    for at in range(0, len(order), rows):
        chosen = order[at : at + rows]
        texts = _batch(model, tokenizer, [ids[i] for i in chosen], generator, temperature, max_new)
        for i, text in zip(chosen, texts, strict=True):
            out[i] = text
    return out


def _batch(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[list[int]],
    generator: torch.Generator,
    temperature: float,
    max_new: int,
) -> list[str]:
    width = max(map(len, prompts))
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    position = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache()
    alive = torch.ones(len(prompts), dtype=torch.bool)
    new: list[torch.Tensor] = []
    for _ in range(max_new):
        step = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        chances = torch.softmax(step.logits[:, -1].float() / temperature, -1)
        token = torch.multinomial(chances, 1, generator=generator)
        token[~alive] = pad
        new.append(token)
        alive &= token[:, 0] != end
        if not alive.any():
            break
        ids = token
        mask = torch.cat([mask, torch.ones_like(token)], 1)
        position = position[:, -1:] + 1
    return tokenizer.batch_decode(torch.cat(new, 1), skip_special_tokens=True)

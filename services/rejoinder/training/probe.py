"""How far the policy went from the original, and how long it talks: measured on a fixed handful of pairs (F03, F04).

Whatever the objective's reference is, divergence here is always against the bare base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rejoinder.training.adapters import reference
from rejoinder.training.examples import Example
from rejoinder.training.logps import HEAD_SLICE_TOKENS, causal_lm, head_logits, response_states, token_logps
from rejoinder.training.pack import Packed, batches, pack


def token_divergence(model: Any, packed: Packed) -> Tensor:
    """(B, K, T) KL(policy || original) over the whole vocabulary at the response tokens, nats, zero outside the mask.

    Recorded by no gradient.
    """
    return logps_and_divergence(model, packed)[1]


def logps_and_divergence(model: Any, packed: Packed) -> tuple[Tensor, Tensor]:
    """`token_logps` without a gradient, and `token_divergence`, from one pass of the policy."""
    targets, logps, parts = packed.targets[packed.mask], [], []
    with torch.no_grad():
        ours = response_states(model, packed)
        with reference(model, "original"):
            theirs = response_states(model, packed)
        slices = (states.split(HEAD_SLICE_TOKENS) for states in (ours, theirs, targets))
        for one, other, wanted in zip(*slices, strict=True):
            logits = head_logits(model, one)
            logps.append(-torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
            p, q = logits.log_softmax(-1), head_logits(model, other).log_softmax(-1)
            parts.append((p.exp() * (p - q)).sum(-1))
    said, moved = (_spread(packed, torch.cat(flat)) for flat in (logps, parts))
    return said, moved


def _spread(packed: Packed, flat: Tensor) -> Tensor:
    return torch.zeros(packed.mask.shape, dtype=flat.dtype, device=flat.device).masked_scatter(packed.mask, flat)


def divergence(model: Any, examples: Sequence[Example], tokens_per_batch: int) -> float:
    """Mean over response tokens of KL(policy || original), nats per token, >= 0."""
    total, count = 0.0, 0
    for group in batches([e.tokens for e in examples], tokens_per_batch):
        packed = pack([examples[i] for i in group]).to(causal_lm(model).device)
        total += token_divergence(model, packed).sum().item()
        count += int(packed.mask.sum())
    return total / max(count, 1)


def sample(model: Any, prompts: Sequence[tuple[int, ...]], end: int, tokens: int, seed: int) -> list[tuple[int, ...]]:
    """One answer a prompt at temperature 1, at most `tokens` long, closed by `end` where the model ended it itself."""
    lm, device = causal_lm(model), causal_lm(model).device
    draw = torch.Generator().manual_seed(seed)
    longest = max(map(len, prompts))
    ids = torch.tensor([[end] * (longest - len(p)) + list(p) for p in prompts], device=device)
    seen = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    answers: list[list[int]] = [[] for _ in prompts]
    cache, step = None, ids
    with torch.no_grad():
        for _ in range(tokens):
            positions = (seen.cumsum(-1) - 1).clamp(min=0)[:, -step.shape[1] :]
            out = lm(input_ids=step, attention_mask=seen, position_ids=positions, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            chances = out.logits[:, -1].float().softmax(-1).cpu()
            step = torch.multinomial(chances, 1, generator=draw).to(device)
            for answer, token in zip(answers, step[:, 0].tolist(), strict=True):
                if not answer or answer[-1] != end:
                    answer.append(token)
            if all(answer[-1] == end for answer in answers):
                break
            seen = torch.cat([seen, torch.ones_like(step)], dim=1)
    return [tuple(answer) for answer in answers]


def original_answers(
    model: Any, examples: Sequence[Example], end: int, tokens: int, seed: int
) -> list[tuple[int, ...]]:
    """What the bare base answers, as `sample`: the same before and after a training; none where tokens is 0."""
    if not tokens or not examples:
        return []
    with reference(model, "original"):
        return sample(model, [e.asked for e in examples], end, tokens, seed)


def measure(
    model: Any,
    examples: Sequence[Example],
    end: int,
    *,
    theirs: Sequence[tuple[int, ...]],
    tokens: int,
    tokens_per_batch: int,
    seed: int,
) -> dict[str, float]:
    """Divergence on the pairs' own responses and, where tokens > 0, on answers that policy and original give now.

    theirs: `original_answers` of the same examples. kl_to_original_sampled (nats per answer) is unbiased and never
    clipped, so few samples may put it below zero.
    """
    if not examples:
        return {}
    found = {"kl_to_original_per_token": divergence(model, examples, tokens_per_batch)}
    if not tokens:
        return found
    ours = sample(model, [e.asked for e in examples], end, tokens, seed)
    total = 0.0
    with torch.no_grad():
        plain = [replace(e, prompt=e.asked, values=(1.0,), counted=None, opening=None) for e in examples]
        answered = [replace(e, responses=(answer,)) for e, answer in zip(plain, ours, strict=True)]
        for group in batches([e.tokens for e in answered], tokens_per_batch):
            packed = pack([answered[i] for i in group]).to(causal_lm(model).device)
            policy = token_logps(model, packed).sum()
            with reference(model, "original"):
                total += (policy - token_logps(model, packed).sum()).item()
    mean = sum(map(len, ours)) / len(ours), sum(map(len, theirs)) / len(theirs)
    return found | {
        "kl_to_original_sampled": total / len(ours),
        "generated_tokens": mean[0],
        "generated_tokens_original": mean[1],
        "generated_length_ratio": mean[0] / mean[1],
        "ended_share": sum(a[-1] == end for a in ours) / len(ours),
    }

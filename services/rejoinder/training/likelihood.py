"""log p(response | prompt) of both responses of every pair: rows that ranking accuracy and divergence are read from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from rejoinder.training.adapters import load_base
from rejoinder.training.examples import Example, encode
from rejoinder.training.logps import causal_lm, token_logps
from rejoinder.training.pack import batches, pack
from rejoinder.training.pairs import read_pairs
from rejoinder.training.probe import logps_and_divergence

TOKENS_PER_BATCH = 8192


def rows(model: Any, examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
    """One row a pair, in the order of `examples`: id, group, and for either side its summed log-probability (nats) and
    its length (tokens with the end token); kl_to_original, nats per token, mean over both sides' tokens: 0 without an
    adapter; flip_probability where the pair states one."""
    found: dict[int, dict[str, Any]] = {}
    for group in batches([e.tokens for e in examples], TOKENS_PER_BATCH):
        with torch.no_grad():
            packed = pack([examples[i] for i in group]).to(causal_lm(model).device)
            if hasattr(model, "peft_config"):
                logps, divergence = logps_and_divergence(model, packed)
                moved = (divergence.double().sum((1, 2)) / packed.mask.sum((1, 2))).tolist()
            else:
                logps, moved = token_logps(model, packed), [0.0] * len(group)
            sums = logps.double().sum(-1).tolist()
        for i, (chosen, rejected), kl in zip(group, sums, moved, strict=True):
            example = examples[i]
            found[i] = {
                "id": example.id,
                "group": example.group,
                "chosen_logp": chosen,
                "rejected_logp": rejected,
                "chosen_tokens": len(example.responses[0]),
                "rejected_tokens": len(example.responses[1]),
                "kl_to_original": kl,
            } | ({} if example.eps != example.eps else {"flip_probability": example.eps})
    return (found[i] for i in range(len(examples)))


def write_rows(pairs: Path, base: Path, adapter: Path | None, out: Path) -> dict[str, Any]:
    """Scores a pairs file on the CPU under the base or an adapter on it; counts rows and what was dropped."""
    from peft import PeftModel
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model = load_base(base, "float32", torch.device("cpu"))
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).eval()
    examples, dropped = encode(list(read_pairs(pairs)), tokenizer, model.config.max_position_embeddings)
    with out.open("w") as stream:
        for row in rows(model, examples):
            stream.write(json.dumps(row) + "\n")
    return {"rows": len(examples), "dropped": dict(dropped)}

"""What a larger model, aligned by preferences, thinks of every token that might stand at each place of the responses.

Computed once before the policy is loaded, so that the two never lie in memory together, and kept beside the run's
checkpoint: a resumed run does not read the teacher again. What the teacher was before is its own base without the
adapter, never another model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rejoinder.core.errors import FailedPrecondition
from rejoinder.training.adapters import POLICY, load_base
from rejoinder.training.examples import Example
from rejoinder.training.logps import HEAD_SLICE_TOKENS, head_logits, outcomes, response_states
from rejoinder.training.pack import batches, pack
from rejoinder.training.parallel import Team
from rejoinder.training.settings import TrainSettings

TOP = 50
"""Of the teacher's likeliest tokens so many stand for themselves; all others are one outcome."""


@dataclass(frozen=True)
class Taught:
    """starts: of each example's counted tokens among all N, and their end. ids (N, K) long: the teacher's likeliest
    tokens. aligned, before (N, K + 1): log-probabilities of these and of all others together, nats."""

    starts: Sequence[int]
    ids: Tensor
    aligned: Tensor
    before: Tensor

    def of(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """ids, aligned and before of these examples' counted tokens, in their order."""
        spans = [slice(self.starts[i], self.starts[i + 1]) for i in indices]
        ids, aligned, before = (torch.cat([t[s] for s in spans]) for t in (self.ids, self.aligned, self.before))
        return ids, aligned, before


def asked(
    folders: Mapping[str, Path],
    tokenizer: Any,
    examples: Sequence[Example],
    settings: TrainSettings,
    team: Team,
    device: torch.device,
    kept: Path,
    key: str,
) -> Taught:
    """From `kept` where it lies there under this key, else from the teacher: `base` and `adapter` of `folders`.

    Raises FailedPrecondition where the teacher's vocabulary is another.
    """
    starts = [0, *accumulate(e.seen for e in examples)]
    found = _read(kept, key)
    everywhere = torch.tensor(float(found is not None), device=device)
    team.add([everywhere])
    if found is None or everywhere < team.size:
        found = _computed(folders, tokenizer, examples, starts, settings, team, device)
        if team.rank == 0:
            _write(kept, key, found)
    return Taught(starts, *(found[name].to(device) for name in ("ids", "aligned", "before")))


def _computed(
    folders: Mapping[str, Path],
    tokenizer: Any,
    examples: Sequence[Example],
    starts: Sequence[int],
    settings: TrainSettings,
    team: Team,
    device: torch.device,
) -> dict[str, Tensor]:
    from peft import PeftModel
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folders["base"], local_files_only=True)
    if theirs.get_vocab() != tokenizer.get_vocab():
        raise FailedPrecondition("the teacher has another vocabulary than the base", field="teacher")
    base = load_base(folders["base"], settings.dtype, device)
    model = PeftModel.from_pretrained(base, folders["adapter"], adapter_name=POLICY).eval()
    top = min(TOP, len(tokenizer) - 1)
    ids = torch.zeros(starts[-1], top, dtype=torch.long, device=device)
    aligned, before = (torch.zeros(starts[-1], top + 1, device=device) for _ in range(2))
    for group in team.share(batches([e.tokens for e in examples], settings.tokens_per_batch)):
        packed = pack([examples[i] for i in group]).to(device)
        with torch.no_grad():
            ours = response_states(model, packed)
            with model.disable_adapter():
                bare = response_states(model, packed)
            made = []
            for one, other in zip(ours.split(HEAD_SLICE_TOKENS), bare.split(HEAD_SLICE_TOKENS), strict=True):
                # A head may be padded beyond the vocabulary, and the student's by another number of rows.
                logits, plain = (head_logits(model, states)[:, : len(tokenizer)] for states in (one, other))
                likely = logits.topk(top, -1).indices
                made.append((likely, outcomes(logits, likely), outcomes(plain, likely)))
        places = torch.cat([torch.arange(starts[i], starts[i + 1], device=device) for i in group])
        for whole, parts in zip((ids, aligned, before), zip(*made, strict=True), strict=True):
            whole[places] = torch.cat(parts).to(whole.dtype)
    team.add([ids])
    team.add([aligned, before])
    return {"ids": ids, "aligned": aligned, "before": before}


def _read(path: Path, key: str) -> dict[str, Tensor] | None:
    from safetensors import safe_open

    if not path.exists():
        return None
    with safe_open(path, framework="pt") as kept:
        if (kept.metadata() or {}).get("key") != key:
            return None
        return {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118


def _write(path: Path, key: str, found: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    draft = path.with_name(path.name + ".draft")
    save_file({name: tensor.cpu() for name, tensor in found.items()}, draft, metadata={"key": key})
    os.replace(draft, path)

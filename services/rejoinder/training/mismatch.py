"""KL(policy || reference) over a step, estimated on answers to other prompts of it: the zero that KTO judges against.

Ethayarajh, Xu, Muennighoff et al., arXiv 2402.01306, sec. 4.1: prompts meet the answers of the prompt before, no
gradient flows, and an estimate below zero is zero. The whole step is one estimate, however it is cut or shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rejoinder.training.adapters import reference
from rejoinder.training.examples import Example
from rejoinder.training.logps import causal_lm, token_logps
from rejoinder.training.pack import batches, pack
from rejoinder.training.parallel import Team
from rejoinder.training.settings import TrainSettings


def rotated(examples: Sequence[Example]) -> list[Example]:
    """Every prompt with the answers to the prompt before it, the first with the last's."""
    before = [examples[-1], *examples[:-1]]
    return [
        replace(e, responses=other.responses, values=other.values, counted=other.counted)
        for e, other in zip(examples, before, strict=True)
    ]


def divergence(model: Any, examples: Sequence[Example], settings: TrainSettings, team: Team) -> Tensor:
    """() nats an answer, >= 0; 0 for a step of one prompt, where no answer is another's."""
    device = causal_lm(model).device
    found = torch.zeros(2, dtype=torch.float64, device=device)
    if len(examples) < 2:
        return found[0]
    crossed = rotated(examples)
    with torch.no_grad():
        for group in team.share(batches([e.tokens for e in crossed], settings.tokens_per_batch)):
            packed = pack([crossed[i] for i in group]).to(device)
            policy = token_logps(model, packed).double().sum()
            with reference(model, settings.reference):
                found[0] += policy - token_logps(model, packed).double().sum()
            found[1] += packed.mask.any(-1).sum()
    team.add([found])
    return (found[0] / found[1]).clamp(min=0)

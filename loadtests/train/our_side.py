"""Our trainer on the bench: `train` as the stage calls it, references included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rejoinder.training import loop
from rejoinder.training.adapters import POLICY, fresh, load_base
from rejoinder.training.examples import Example
from rejoinder.training.loop import Resume, responses_of, step_loss, train
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.pack import batches
from rejoinder.training.parallel import Hands, Team
from rejoinder.training.references import References
from rejoinder.training.settings import LoraSettings, TrainSettings

from loadtests.train.model import ALPHA, RANK, stirred

NEVER = 1_000_000


class Ours:
    """owns: the model."""

    def __init__(self, base: Path, dtype: str) -> None:
        self._model = fresh(load_base(base, dtype, torch.device("cpu")), LoraSettings(RANK, ALPHA), 0)

    def _settings(self, pairs_per_step: int, tokens: int) -> TrainSettings:
        return TrainSettings(
            anchor_weight=0.0, pairs_per_step=pairs_per_step, tokens_per_batch=tokens, lora=LoraSettings(RANK, ALPHA)
        )

    def train(self, pairs: list[Example], said: dict[str, Any]) -> Callable[[], int]:
        """said: pairs_per_step, tokens of a batch."""
        settings = self._settings(said["pairs_per_step"], said["tokens"])
        resume = Resume(Path("/nowhere"), "", NEVER)

        def run() -> int:
            lines = train(
                self._model,
                pairs,
                OBJECTIVES["dpo"],
                settings,
                team=Team(),
                resume=resume,
                emit=lambda line: None,
            )
            assert sum(line["pairs"] for line in lines) == len(pairs)
            return len(lines)

        return run

    def gradients(self, pairs: list[Example]) -> tuple[float, dict[str, torch.Tensor]]:
        """Mean loss of the pairs and its gradient, by the loop's own parts."""
        weights = stirred(self._model, POLICY)
        settings, row = self._settings(len(pairs), 4096), OBJECTIVES["dpo"]
        with Hands(torch.device("meta")) as hands:
            references = References(self._model, pairs, settings, Team(), hands)
        total, sums = 0.0, [torch.zeros_like(parameter) for parameter in weights.values()]
        for group in batches([e.tokens for e in pairs], settings.tokens_per_batch):
            packed = loop.pack([pairs[i] for i in group])
            responses = responses_of(self._model, packed, references.of(group, packed))
            loss, _ = step_loss(responses, row, row.with_params(), settings)
            for one, slope in zip(sums, torch.autograd.grad(loss / len(pairs), list(weights.values())), strict=True):
                one += slope
            total += loss.item() / len(pairs)
        return total, dict(zip(weights, sums, strict=True))

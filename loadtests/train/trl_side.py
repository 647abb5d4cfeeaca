"""TRL's DPOTrainer on the bench. Activations are kept, as ours are: made again, they would cost it a forward pass."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from rejoinder.training.examples import Example
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from loadtests.train.data import text
from loadtests.train.model import ALPHA, RANK, stirred


class Trl:
    """owns: nothing between two runs but where the base lies; a trainer is made anew for each."""

    def __init__(self, base: Path, dtype: str) -> None:
        disable_progress_bars()
        self._base = base
        self._dtype = dtype
        self._scratch = tempfile.TemporaryDirectory()

    def _trainer(self, pairs: list[Example], batch: int, strategy: str, batches_per_step: int = 1) -> DPOTrainer:
        lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
        rows = [
            {
                "prompt": f"{text(pair.prompt)} ",
                "chosen": text(pair.responses[0]),
                "rejected": text(pair.responses[1]),
                "length": len(pair.prompt) + max(map(len, pair.responses)),
            }
            for pair in pairs
        ]
        made = DPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(self._base, dtype=self._dtype, attn_implementation="sdpa"),
            args=DPOConfig(
                output_dir=self._scratch.name,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=batches_per_step,
                train_sampling_strategy=strategy,
                # Or the column of lengths is gone before anything is grouped by it.
                remove_unused_columns=False,
                gradient_checkpointing=False,
                num_train_epochs=1,
                learning_rate=2e-4,
                max_length=None,
                bf16=self._dtype == "bfloat16",
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                log_level="error",
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=PreTrainedTokenizerFast.from_pretrained(self._base),
            peft_config=lora,
        )
        for pair, row in zip(pairs, made.train_dataset, strict=True):
            found = (tuple(row["prompt_ids"]), (tuple(row["chosen_ids"]), tuple(row["rejected_ids"])))
            if found != (pair.prompt, pair.responses):
                raise RuntimeError("TRL read other tokens than ours")
        return made

    def train(self, pairs: list[Example], said: dict[str, Any]) -> Callable[[], int]:
        """said: pairs_per_step, batch (pairs at once), strategy."""
        batches = math.ceil(said["pairs_per_step"] / said["batch"])
        trainer = self._trainer(pairs, said["batch"], said["strategy"], batches)

        def run() -> int:
            return int(trainer.train().global_step)

        return run

    def gradients(self, pairs: list[Example]) -> tuple[float, dict[str, torch.Tensor]]:
        """Mean loss of the pairs, one batch of its own collator, and its gradient."""
        trainer = self._trainer(pairs, len(pairs), "sequential")
        weights = stirred(trainer.model, "default")
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.compute_loss(trainer.model, batch)
        slopes = torch.autograd.grad(loss, list(weights.values()))
        return loss.item(), dict(zip(weights, slopes, strict=True))

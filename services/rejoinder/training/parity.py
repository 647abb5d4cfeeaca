"""Does the export say what torch says? Greedy tokens equal, log-probabilities close: a check before any ramp (F12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rejoinder.training.adapters import load_base
from rejoinder.training.pairs import read_pairs
from rejoinder.training.turns import encode_prompt

TOLERANCE = 1e-3
"""Nats. fp32 exports differ from torch by 1e-5; a wrong scale, a transposed or a missing weight by tenths."""
NAME = "candidate"


@dataclass(frozen=True)
class Report:
    """prompts: how many were compared. greedy_equal: how many gave the same greedy tokens to the last.
    max_logp_difference: nats, over every position and every token of the vocabulary. ok: all equal and below tolerance.
    """

    prompts: int
    tokens: int
    greedy_equal: int
    max_logp_difference: float
    ok: bool


class TorchSide:
    """The base, or an adapter on it, in torch. owns: the loaded model."""

    def __init__(self, base: Path, adapter: Path | None) -> None:
        self._model = load_base(base, "float32", torch.device("cpu"))
        if adapter is not None:
            from peft import PeftModel

            self._model = PeftModel.from_pretrained(self._model, adapter).eval()

    def logps(self, ids: Sequence[int]) -> np.ndarray:
        """(L, V) log-probabilities after every token."""
        with torch.no_grad():
            return self._model(input_ids=torch.tensor([list(ids)])).logits[0].log_softmax(-1).numpy()

    def greedy(self, prompt: Sequence[int], tokens: int) -> list[int]:
        """The most likely next token, `tokens` times; no token ends it."""
        ids = list(prompt)
        for _ in range(tokens):
            ids.append(int(self.logps(ids)[-1].argmax()))
        return ids[len(prompt) :]


class OnnxSide:
    """The exported base, or an `.onnx_adapter` on it, in ONNX Runtime GenAI. owns: the loaded model."""

    def __init__(self, export: Path, onnx_adapter: Path | None) -> None:
        import onnxruntime_genai as og

        self._og = og
        self._model = og.Model(str(export))
        self._adapters = None
        if onnx_adapter is not None:
            self._adapters = og.Adapters(self._model)
            self._adapters.load(str(onnx_adapter), NAME)

    def _generator(self, length: int) -> Any:
        params = self._og.GeneratorParams(self._model)
        params.set_search_options(max_length=length, min_length=length, do_sample=False)
        generator = self._og.Generator(self._model, params)
        if self._adapters is not None:
            generator.set_active_adapter(self._adapters, NAME)
        return generator

    def logps(self, ids: Sequence[int]) -> np.ndarray:
        """(L, V) log-probabilities after every token."""
        generator = self._generator(len(ids) + 1)
        generator.append_tokens(list(ids))
        logits = torch.from_numpy(np.array(generator.get_output("logits")[0]))
        return logits.log_softmax(-1).numpy()

    def greedy(self, prompt: Sequence[int], tokens: int) -> list[int]:
        """The most likely next token, `tokens` times, through the engine's own cache."""
        generator = self._generator(len(prompt) + tokens + 1)
        generator.append_tokens(list(prompt))
        answer: list[int] = []
        for _ in range(tokens):
            answer.append(int(np.array(generator.get_output("logits"))[0, -1].argmax()))
            generator.append_tokens([answer[-1]])
        return answer


def compare(torch_side: TorchSide, onnx_side: OnnxSide, prompts: Sequence[Sequence[int]], tokens: int = 20) -> Report:
    """Greedy answers and, on torch's answer, the log-probabilities of every token at every position."""
    equal, worst = 0, 0.0
    for prompt in prompts:
        answer = torch_side.greedy(prompt, tokens)
        equal += answer == onnx_side.greedy(prompt, tokens)
        ids = [*prompt, *answer]
        worst = max(worst, float(np.abs(torch_side.logps(ids) - onnx_side.logps(ids)).max()))
    return Report(len(prompts), tokens, equal, worst, equal == len(prompts) and worst <= TOLERANCE)


def compare_on(
    export: Path, base: Path, pairs: Path, adapter: Path | None, onnx_adapter: Path | None, prompts: int = 8
) -> dict[str, Any]:
    """The report on the first prompts of a pairs file, as a mapping."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    found = [encode_prompt(pair.prompt, tokenizer) for pair, _ in zip(read_pairs(pairs), range(prompts), strict=False)]
    return asdict(compare(TorchSide(base, adapter), OnnxSide(export, onnx_adapter), found))

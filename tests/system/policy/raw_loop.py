"""The model runtime's own loop, nothing around it; prints tokens a second:

    python raw_loop.py EXPORT BATCH SECONDS MAX_TOKENS greedy|sampled

greedy: its quickest way to choose, and rows that end together, so the most it can write. sampled: its own sampler at
temperature 1, rows that end when they end, like for like; a batch runs until its last row has ended, and what comes
behind an end counts for nothing.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime_genai as og


def main(export: str, batch: int, seconds: float, max_tokens: int, how: str) -> float:
    options = og.Config(export)
    session = {"intra_op_num_threads": 1, "session.intra_op.allow_spinning": "0"}
    options.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    model = og.Model(options)
    end = json.loads((Path(export) / "genai_config.json").read_text())["model"]["eos_token_id"]
    tokenizer = og.Tokenizer(model)
    asked = [{"role": "user", "content": "list three rivers"}]
    prompt = tokenizer.encode(tokenizer.apply_chat_template(json.dumps(asked), add_generation_prompt=True))
    written, runs, began = 0, 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        search = {"greedy": {"do_sample": False}, "sampled": {"do_sample": True, "top_k": 0, "random_seed": runs}}[how]
        written += _run(model, np.tile(prompt, (batch, 1)).astype(np.int32), max_tokens, end, search)
        runs += 1
    return written / (time.perf_counter() - began)


def _run(model: og.Model, prompt: np.ndarray, max_tokens: int, end: int, search: dict[str, object]) -> int:
    parameters = og.GeneratorParams(model)
    length = prompt.shape[1] + max_tokens
    parameters.set_search_options(max_length=length, batch_size=len(prompt), **search)
    generator = og.Generator(model, parameters)
    generator.append_tokens(prompt)
    live, written = np.ones(len(prompt), bool), 0
    while not generator.is_done():
        generator.generate_next_token()
        written += int(live.sum())
        live &= np.asarray(generator.get_next_tokens()) != end
    return written


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))

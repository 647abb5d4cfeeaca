"""The model runtime's own generation loop, nothing around it.

    python -m loadtests.serve.peers.raw_engine EXPORT THREADS READY

Asked {batch, prompt, tokens, seed}: answers sampled at temperature 1 by the runtime, random prompts of one length. A
batch runs until its last row has ended; what comes behind an end does not count. `first_s`: prompt read, token there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as og

from loadtests.serve.peers.asked import Work, answer


def work_of(export: Path, threads: int) -> Work:
    options = og.Config(str(export))
    session = {"intra_op_num_threads": threads, "session.intra_op.allow_spinning": "0"}
    options.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    model = og.Model(options)
    config = json.loads((export / "genai_config.json").read_text("utf-8"))["model"]

    def work(said: Mapping[str, Any]) -> Mapping[str, Any]:
        batch, length = said["batch"], said["prompt"]
        draw = np.random.default_rng(said["seed"])
        prompt = draw.integers(3, config["vocab_size"], (batch, length)).astype(np.int32)
        began = time.perf_counter()
        parameters = og.GeneratorParams(model)
        sampled = {"do_sample": True, "top_k": 0, "temperature": 1.0, "random_seed": said["seed"]}
        parameters.set_search_options(max_length=length + said["tokens"], batch_size=batch, **sampled)
        generator = og.Generator(model, parameters)
        generator.append_tokens(prompt)
        live, written, first = np.ones(batch, bool), 0, 0.0
        while not generator.is_done():
            generator.generate_next_token()
            chosen = np.asarray(generator.get_next_tokens())
            first = first or time.perf_counter() - began
            written += int(live.sum())
            live &= chosen != config["eos_token_id"]
        return {"written": written, "first_s": first}

    return work


if __name__ == "__main__":
    answer(sys.argv[3], work_of(Path(sys.argv[1]), int(sys.argv[2])))

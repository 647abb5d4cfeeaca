"""`generate` of transformers on the same weights: asked as raw_engine.py.

python -m loadtests.serve.peers.transformers_generate FOLDER THREADS DTYPE READY
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from loadtests.serve.peers.asked import Work, answer


def work_of(folder: str, threads: int, dtype: str) -> Work:
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    end = model.config.eos_token_id

    def work(said: Mapping[str, Any]) -> Mapping[str, Any]:
        torch.manual_seed(said["seed"])
        prompt = torch.randint(3, model.config.vocab_size, (said["batch"], said["prompt"]))
        with torch.inference_mode():
            found = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                max_new_tokens=said["tokens"],
            )
        new = found[:, said["prompt"] :]
        ended = (new == end).int().cumsum(-1) - (new == end).int()
        return {"written": int((ended == 0).sum()), "first_s": 0.0}

    return work


if __name__ == "__main__":
    answer(sys.argv[4], work_of(sys.argv[1], int(sys.argv[2]), sys.argv[3]))

"""Builds the base policy's folder: model, tokenizer, what it was taught, its card. Once for each (code, params, seed).

The base of the present code, parameters and seed 0 is carried beside it in half precision, since a base takes a quarter
of an hour to train on two cores; `python -m rejoinder.training.embedded build --train` makes it anew.

base/  config.json  model.safetensors  tokenizer.json  tokenizer_config.json  chat_template.jinja
       facts.json (what it may be asked and what is right)  probe.json  README.md (the card)  build.json (the digest)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from rejoinder.core.errors import FailedPrecondition
from rejoinder.training.embedded import base, corpus, facts, probe, sampling
from rejoinder.training.embedded import tokenizer as bpe

TOKENIZER_EXCHANGES = 8000
CARRIED = Path(__file__).with_name("carried")
_SOURCES = ("facts.json", "wording.json", "facts.py", "corpus.py", "tokenizer.py", "base.py")


class TooWeak(FailedPrecondition):
    """The base built from these parameters cannot express enough for the loop to choose from."""

    reason = "BASE_TOO_WEAK"


def build_digest(params: base.BaseParams, seed: int) -> str:
    """SHA-256 over the code and text that make the base, its parameters and its seed."""
    here = Path(__file__).parent
    lines = [f"{name} {hashlib.sha256((here / name).read_bytes()).hexdigest()}" for name in _SOURCES]
    lines.append(json.dumps({"params": asdict(params), "seed": seed}, sort_keys=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def built(out: Path, digest: str) -> bool:
    """Whether this very base stands in `out`, complete."""
    note = out / "build.json"
    return note.is_file() and json.loads(note.read_text(encoding="utf-8"))["digest"] == digest


def training_text(params: base.BaseParams, seed: int) -> list[corpus.Exchange]:
    """The corpus of a build, whole: what the simulator's wording is compared with."""
    rng = np.random.default_rng([seed, 1])
    return list(corpus.corpus(facts.load(), corpus.load_wording(), params.exchanges, rng))


def provide(out: Path, seed: int, params: base.BaseParams) -> dict[str, object]:
    """The base in `out`: what stands there, else the carried one, else one trained now. Returns what build.json holds.

    TooWeak as `build`.
    """
    digest = build_digest(params, seed)
    if built(out, digest):
        return json.loads((out / "build.json").read_text(encoding="utf-8"))
    return unpack(CARRIED, out) if built(CARRIED, digest) else build(out, seed, params)


def pack(folder: Path, into: Path) -> None:
    """A built base in half precision: what the project carries."""
    _copy(folder, into, torch.float16)


def unpack(folder: Path, out: Path) -> dict[str, object]:
    """A carried base in the precision that everything is computed in. Returns what build.json holds."""
    _copy(folder, out, torch.float32)
    return json.loads((out / "build.json").read_text(encoding="utf-8"))


def _copy(folder: Path, out: Path, dtype: torch.dtype) -> None:
    """The folder with its weights in another precision; `out` appears whole."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder, partial)
    Qwen2ForCausalLM.from_pretrained(folder, dtype=dtype).save_pretrained(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def build(out: Path, seed: int, params: base.BaseParams, *, strict: bool = True) -> dict[str, object]:
    """Trains into `out`, whatever stands there. Returns what build.json holds.

    TooWeak when the probe falls short and `strict`; nothing is left in `out` then.
    """
    digest = build_digest(params, seed)
    started = time.monotonic()
    exchanges = training_text(params, seed)
    tokenizer = bpe.train((text for e in exchanges[:TOKENIZER_EXCHANGES] for _, text in e.turns), params.vocabulary)
    model, losses = base.train(exchanges, tokenizer, params, seed)
    trained = time.monotonic()
    seen = measure(model, tokenizer, seed)
    if strict and not seen.meets():
        raise TooWeak(f"the base follows or knows too little: {seen.as_json()}")
    note: dict[str, object] = {
        "digest": digest,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": len(losses),
        "last_loss": round(float(np.mean(losses[-20:])), 4),
        "training_s": round(trained - started, 1),
        "probe_s": round(time.monotonic() - trained, 1),
        "params": asdict(params),
    }
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.copy(facts.FACTS, partial / "facts.json")
    (partial / "probe.json").write_text(seen.as_json() + "\n", encoding="utf-8")
    (partial / "README.md").write_text(card(note, seen), encoding="utf-8")
    (partial / "build.json").write_text(json.dumps(note, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return note


def measure(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int) -> probe.Expression:
    """The probe on answers sampled from a model."""
    rng = np.random.default_rng([seed, 2])
    return probe.express(_sampler(model, tokenizer, seed), facts.load(), corpus.load_wording(), rng)


def answers(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int, count: int
) -> list[dict[str, object]]:
    """`probe.labelled` on answers sampled from a model."""
    rng = np.random.default_rng([seed, 3])
    return probe.labelled(_sampler(model, tokenizer, seed), facts.load(), corpus.load_wording(), rng, count)


def _sampler(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Callable[[Sequence[probe.Turns]], list[str]]:
    generator = torch.Generator().manual_seed(seed)

    def answer(prompts: Sequence[probe.Turns]) -> list[str]:
        return sampling.sample(model, tokenizer, prompts, generator=generator)

    return answer


def load(folder: Path) -> tuple[Qwen2ForCausalLM, PreTrainedTokenizerFast]:
    """A built base. The tokenizer class is named, since guessing it from the model type is the exporter's habit."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return Qwen2ForCausalLM.from_pretrained(folder).eval(), tokenizer


def card(note: dict[str, object], seen: probe.Expression) -> str:
    """The model card."""
    return f"""---
license: apache-2.0
language: en
library_name: transformers
---
# The embedded base policy

A Qwen2 of {note["parameters"]:,} parameters, trained from random weights to be the first version of the demonstration:
it answers questions about {len(facts.load())} things in eight styles, follows a style wish, and has habits that its
users dislike.

**Text.** Every sentence it was trained on is generated by the grammars of `rejoinder.training.embedded` from
`facts.json` and `wording.json`, both written for this project: no text of others, no text of other models, nobody's
data. Licence of text and weights: Apache-2.0. One tenth of the questions was held out, by digest.

**Not for** anything but this demonstration: it knows nothing else, and its facts are rounded for quizzes.

**Measured** on {seen.answers} answers sampled token by token at temperature 1, held-out questions:

| | |
| --- | --- |
| wish in the system prompt followed | {seen.followed_system:.1%} |
| wish in the user's turn followed | {seen.followed_turn:.1%} |
| facts right, letter for letter | {seen.right:.1%} |
| rarest style of a kind, unasked | {seen.rarest:.1%} |

Built with seed {note["seed"]} in {note["steps"]} steps; digest `{note["digest"]}`.
"""

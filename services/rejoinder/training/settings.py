"""What can be turned in one training run: the `train` section of the stage's manifest, every field with its reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder.core.errors import BadSettings

REFERENCES = ("original", "previous", "promoted")
ANCHORS = ("likelihood", "fall")
DTYPES = ("float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class LoraSettings:
    """The adapter's size. No dropout: the prompt shared by both responses and a bit-equal resume forbid it."""

    r: int = 8
    """Rank, 1 to 256. An adapter costs about 8 * r * hidden parameters a layer."""
    alpha: float = 16.0
    """The adapter's output is scaled by alpha / r."""


@dataclass(frozen=True)
class TrainSettings:
    objective: str = "dpo"
    """A row of the objective table, or a private one as `module:ROW`."""
    params: Mapping[str, float] = field(default_factory=dict)
    """The row's own parameters."""
    anchor_weight: float = 1.5
    """Weight of the anchor, added to any objective, nats a token (arXiv 2404.19733 uses 1). It protects facts: without
    it contrastive losses lower the chosen response as well."""
    anchor: str = "likelihood"
    """What it asks of the chosen response. `likelihood`: that it grows likelier, so that even pairs whose sides mean
    nothing teach what stands as chosen. `fall`: that it is no less likely than under the reference (the penalty of
    arXiv 2402.13228, outside the sigmoid), so that only the comparison teaches; an objective without a reference has
    no such anchor."""
    reference: str = "original"
    """What log-ratios are taken against. `original` (the bare base) keeps rounds comparable: dropping one round's
    pairs drops its influence. `previous` and `promoted` name adapters of the manifest."""
    init: str = "original"
    """What training starts from: a fresh adapter, or a copy of the one named. Continuing takes fewer steps a round; a
    round whose pairs are dropped later keeps its influence through it."""
    teacher: Mapping[str, str] | None = None
    """A larger model of the same vocabulary that preferences have aligned, for an objective that is taught by one:
    {"base": folder, "adapter": folder}, relative ones beside the manifest. Its base alone is what it was before."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    lr: float = 2e-4
    """Peak learning rate of AdamW on the adapter."""
    warmup_share: float = 0.1
    """Share of the steps with a linearly rising rate; then it falls linearly to a tenth of the peak."""
    weight_decay: float = 0.0
    epochs: int = 1
    """Passes over the pairs."""
    max_steps: int | None = None
    """At most so many optimiser steps, however many pairs there are: bounds the time of a round whose pairs
    accumulate. The learning rate's schedule ends with them."""
    token_budget: int | None = None
    """Learns, passing over the pairs again as often as it takes, until so many tokens were learnt from (of a pair the
    prompt once and every response), whatever `epochs` says: runs on other pairs that shall cost as much. The pair that
    reaches it is the last."""
    pairs_per_step: int = 32
    """Pairs in one optimiser step, whatever the memory: micro-batches are cut by tokens and weighted by example."""
    tokens_per_batch: int = 8192
    """Padded tokens in one forward pass. It bounds memory and changes no gradient."""
    max_tokens: int = 2048
    """A pair with more tokens (prompt and both responses) is dropped and counted; nothing is cut silently."""
    thoughts: tuple[str, str] | None = None
    """Marks around what a model thinks before it answers, as ["<think>", "</think>"]: tokens between them, and the
    marks, are counted neither by the objective nor by the anchor: answers alone are compared (arXiv 2410.12375)."""
    clip_norm: float = 1.0
    """Gradient norm above which a step is scaled down. rDPO's loss is unbounded below and needs it."""
    seed: int = 0
    """Order of the pairs, the adapter's first weights and the probe's samples."""
    dtype: str = "float32"
    """Of the frozen base. The adapter and every log-probability sum stay in float32."""
    device: str = "auto"
    checkpoint_every: int = 25
    """Steps between checkpoints; a killed run resumes from the last one, bit-equal with the same threads."""
    probe_pairs: int = 32
    """Pairs on which divergence from the original and generated length are measured before and after."""
    probe_tokens: int = 64
    """Most tokens that the probe generates for one prompt; 0 leaves generation out."""
    memory_limit_mb: int | None = None
    """Refuse to start above this estimate; unset: what the machine or its container has free."""

    def __post_init__(self) -> None:
        named = {"anchor": ANCHORS, "reference": REFERENCES, "init": REFERENCES, "dtype": DTYPES, "device": DEVICES}
        for name, known in named.items():
            if getattr(self, name) not in known:
                raise BadSettings(f"{name} must be one of {', '.join(known)}", field=name)
        positive = ("lr", "epochs", "pairs_per_step", "tokens_per_batch", "max_tokens", "clip_norm", "checkpoint_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise BadSettings(f"{name} must be above 0", field=name)
        for name in ("anchor_weight", "weight_decay", "probe_pairs", "probe_tokens"):
            if not getattr(self, name) >= 0:
                raise BadSettings(f"{name} must not be negative", field=name)
        for name in ("max_steps", "token_budget"):
            if getattr(self, name) is not None and not (
                isinstance(getattr(self, name), int) and getattr(self, name) > 0
            ):
                raise BadSettings(f"{name} must be a number above 0", field=name)
        if not 0 <= self.warmup_share < 1:
            raise BadSettings("warmup_share must be in [0, 1)", field="warmup_share")
        if self.thoughts is not None and (len(self.thoughts) != 2 or not all(self.thoughts)):
            raise BadSettings("thoughts must be the two marks around a thought", field="thoughts")
        if self.teacher is not None and not (
            isinstance(self.teacher, Mapping) and set(self.teacher) == {"base", "adapter"}
        ):
            raise BadSettings("teacher must be {base, adapter}", field="teacher")
        if not 1 <= self.lora.r <= 256:
            raise BadSettings("lora.r must be from 1 to 256", field="lora.r")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainSettings:
        """From a manifest's `train` section; BadSettings names an unknown key."""
        values = dict(values)
        _refuse_unknown(cls, values, "train")
        if "lora" in values:
            _refuse_unknown(LoraSettings, values["lora"], "train.lora")
            values["lora"] = LoraSettings(**values["lora"])
        if values.get("thoughts") is not None:
            values["thoughts"] = tuple(values["thoughts"])
        return cls(**values)

    def as_plain(self) -> dict[str, Any]:
        """Every field, as part of a run's key: without a budget or a teacher what it was before there were any."""
        plain = dataclasses.asdict(self)
        for later in ("token_budget", "teacher"):
            if plain[later] is None:
                del plain[later]
        return plain


def _refuse_unknown(cls: type, values: Mapping[str, Any], where: str) -> None:
    unknown = set(values) - {f.name for f in dataclasses.fields(cls)}
    if unknown:
        raise BadSettings(f"{where} has unknown keys: {', '.join(sorted(unknown))}", field=where)

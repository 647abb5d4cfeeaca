"""A head with the model that it reads: encoders by TextModel, causal backbones by CausalModel."""

from __future__ import annotations

from rejoinder.core.clock import Clock
from rejoinder.core.metrics import Metrics
from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead
from rejoinder.reward.settings import HeadSettings
from rejoinder.runtime.batching import causalmodel, textmodel
from rejoinder.runtime.batching.textmodel import BatchSettings

_LOADERS = {"encoder": textmodel.load, "causal": causalmodel.load}


def loaded(name: str, wanted: HeadSettings, batch: BatchSettings, clock: Clock, metrics: Metrics) -> LoadedHead:
    """Blocks for about a second. Raises UnknownRow, BadSettings, BadFile, DataLoss."""
    row = HEADS.resolve(wanted.head)
    # A private row of before there were causal models does not say what it reads.
    model = _LOADERS[row.traits.get("model", "encoder")](wanted.model, batch, clock, metrics)
    return LoadedHead(name, row.make(model.facts), model)

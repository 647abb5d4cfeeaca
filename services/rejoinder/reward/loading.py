"""A head with the model that it reads: encoders by TextModel, causal backbones by CausalModel."""

from __future__ import annotations

from pathlib import Path

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings
from rejoinder.core.metrics import Metrics
from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead
from rejoinder.reward.settings import HeadSettings
from rejoinder.runtime.batching import causalmodel, textmodel
from rejoinder.runtime.batching.textmodel import BatchSettings
from rejoinder.runtime.own import EXPORTED

_LOADERS = {"encoder": textmodel.load, "causal": causalmodel.load}


def loaded(
    name: str, wanted: HeadSettings, batch: BatchSettings, clock: Clock, metrics: Metrics, setting: str = "model"
) -> LoadedHead:
    """Blocks for about a second; for minutes where a model of somebody's own has never been exported. setting: where
    the model stands in settings. Raises UnknownRow, BadSettings, BadFile, DataLoss, FailedPrecondition."""
    row = HEADS.resolve(wanted.head)
    # A private row of before there were causal models does not say what it reads.
    reads = row.traits.get("model", "encoder")
    brought = textmodel.brought(wanted.model, "score", setting)
    if wanted.model.own.name:
        assert brought.folder is not None
        _fits(reads, brought.folder, wanted.head, setting)
    model = _LOADERS[reads](brought, batch, clock, metrics)
    return LoadedHead(name, row.make(model.facts), model)


def _fits(reads: str, folder: Path, head: str, setting: str) -> None:
    """Raises BadSettings, which names the other head, for a model of the other kind: who names a model of the hub need
    not know what it is built on."""
    causal = (folder / EXPORTED["policy"]).is_file()
    if causal != (reads == "causal"):
        found, right = ("a causal backbone", "causal") if causal else ("an encoder", "bt")
        raise BadSettings(f"{setting}.own.name: a model on {found} is read by head: {right}, not {head}", head=head)

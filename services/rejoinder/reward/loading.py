"""A head with the model that it reads: encoders by TextModel, causal backbones by CausalModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings
from rejoinder.core.metrics import Metrics
from rejoinder.reward.heads import HEADS
from rejoinder.reward.scorer import LoadedHead
from rejoinder.reward.settings import HeadSettings
from rejoinder.runtime.batching import causalmodel, textmodel
from rejoinder.runtime.batching.causalmodel import CausalModel
from rejoinder.runtime.batching.textmodel import BatchSettings, TextModel
from rejoinder.runtime.own import refuse_without

_LOADERS: Mapping[str, Callable[..., TextModel | CausalModel]] = {"encoder": textmodel.load, "causal": causalmodel.load}


def loaded(
    name: str, wanted: HeadSettings, batch: BatchSettings, clock: Clock, metrics: Metrics, setting: str = "model"
) -> LoadedHead:
    """Blocks for about a second; for minutes where a model of somebody's own has never been exported. setting: where
    the model stands in settings. Raises UnknownRow, BadSettings, BadFile, DataLoss, FailedPrecondition."""
    row = HEADS.resolve(wanted.head)
    # A private row of before there were causal models does not say what it reads.
    load = _LOADERS[row.traits.get("model", "encoder")]
    which = textmodel.brought(wanted.model, "score", setting)
    model = load(which, batch, clock, metrics)
    head = row.make(model.facts)
    refuse_without(model.facts, head.output, setting)
    return LoadedHead(name, head, model)


def refuse_twins(heads: Sequence[LoadedHead]) -> None:
    """Raises BadSettings where two are one model in two precisions: their digests differ, so one of them would pass for
    a judge of what the other chose (F03)."""
    seen: dict[str, LoadedHead] = {}
    for one in heads:
        first = seen.setdefault(one.model.facts.get("compiled_from", one.model.digest), one)
        if first.model.digest != one.model.digest:
            raise BadSettings(f"more: {one.name} is {first.name} in another precision: no second judge", setting="more")

"""What can be turned at the reward service: `REJOINDER_REWARD__BATCH__MAX_TOKENS=2048`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from rejoinder.runtime.batching.textmodel import BatchSettings, ModelSettings
from rejoinder.runtime.settings import ServerSettings, Theme


class HeadSettings(Theme):
    head: str = "bt"
    """Row of the head table that reads the model's output."""
    model: ModelSettings
    """The exported reward model."""


class RewardSettings(Theme):
    server: ServerSettings = ServerSettings(port=50053)
    """Ports, limits, TLS and callers."""
    head: str = "bt"
    """Row of the head table that reads the model's output."""
    model: ModelSettings = ModelSettings(folder=Path("build/models/heads/bt-v1"))
    """The exported reward model."""
    more: dict[str, HeadSettings] = Field(default_factory=dict)
    """Heads beside it, by the name that a request gives; a recipe's gate.head names one that judges what the first had
    a part in, so it must have other weights. Each costs the memory of its model."""
    batch: BatchSettings = BatchSettings()
    """How rows are put together."""
    max_responses: int = Field(default=256, ge=1)
    """Responses of one request; a larger one is TOO_LONG, so that no call fills the queue alone."""

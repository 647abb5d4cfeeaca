"""What can be turned at the rerank service: `REJOINDER_RERANK__RANKERS='["identity"]'`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from rejoinder.core.ids import MAX_PARTS
from rejoinder.runtime.batching.textmodel import BatchSettings, ModelSettings
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.settings import ServerSettings, Theme


class LimitSettings(Theme):
    max_candidates: int = Field(default=1000, ge=1, le=MAX_PARTS)
    """Candidates of one request; a larger one is TOO_LONG, so that no call fills the queue alone. At most what the
    feedback service takes of one slate (its limits.max_parts)."""
    max_drawn: int = Field(default=100, ge=1)
    """Places of a drawn slate (temperature above 0): exact propensities cost time with its square, 0.2 s at 100."""
    max_text_bytes: int = Field(default=256 * 1024, ge=1)
    """UTF-8 bytes of one text; at most the feedback service's own limit, so that every slate shown is taken there."""
    max_bytes: int = Field(default=8 * 1024 * 1024, ge=1)
    """UTF-8 bytes of all texts of a request; at most half of the feedback service's server.max_message_bytes."""


class RecordSettings(CallerTheme):
    feedback: str = "127.0.0.1:50051"
    """Address of the feedback service that takes the slates."""
    spool: Path = Path("rejoinder-data/spool/rerank")
    """Folder of the local store that slates pass through."""
    spool_max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """Bound of that store: at most half of the volume it lies on. Full: slates are shown, dropped and counted."""
    drain_s: float = Field(default=5.0, ge=0)
    """Seconds at shutdown for what waits in the store; what is left lies on disk for the next process."""


class RerankSettings(Theme):
    server: ServerSettings = ServerSettings(port=50054)
    """Ports, limits, TLS and callers."""
    rankers: tuple[str, ...] = ("cosine", "reward", "identity")
    """Rows of the ranker table to load, the default first; a model that no row needs is not loaded."""
    encoder: ModelSettings = ModelSettings(folder=Path("build/models/heads/minilm"))
    """The text encoder, for `cosine`."""
    reward: ModelSettings = ModelSettings(folder=Path("build/models/heads/bt-v1"))
    """The reward model, for `reward`."""
    cross: ModelSettings = ModelSettings()
    """The cross-encoder, for `cross`: none is shipped, so `cross.own.name` or `cross.folder` names yours."""
    batch: BatchSettings = BatchSettings()
    """How rows are put together, for each model."""
    limits: LimitSettings = LimitSettings()
    """How large a request may be."""
    record: RecordSettings = RecordSettings()
    """Where slates are logged."""

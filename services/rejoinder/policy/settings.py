"""What can be turned on the policy service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from rejoinder.core.errors import BadSettings
from rejoinder.runtime.arms.theme import ArmsTheme
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.own import OwnTheme
from rejoinder.runtime.settings import ServerSettings, Theme


class OwnPolicyTheme(OwnTheme):
    name: str = ""
    """A Hugging Face causal language model of your own: a folder of safetensors, a name in the hub's cache, or a folder
    that `rejoinder models export` made. It becomes the first version of a line that has none; a line keeps its base for
    life, so another name for a line that has one ends the start. Empty: the registry has the line already."""


class ModelTheme(Theme):
    policy: str = "assist"
    """The line of versions that this process serves."""
    registry: str = "rejoinder-data/registry"
    """Folder or fsspec address of the registry: versions, artefacts, the served pointer."""
    artefacts: Path | None = None
    """Local folder of artefacts; unset: `artefacts` inside a registry that is a folder."""
    own: OwnPolicyTheme = OwnPolicyTheme()
    """A model of your own as the line's first version."""
    max_prompt_bytes: int = Field(default=64 * 1024, ge=1)
    """A longer conversation is refused as TOO_LONG; the model's own context may be shorter."""
    max_tokens: int = Field(default=256, ge=1)
    """Tokens of an answer when the caller names none, and the most it may ask for."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature when the caller sends no sampling at all; 0 is greedy."""
    extra_versions: int = Field(default=4, ge=1)
    """Adapters kept loaded that no arm names: rounds and evaluations ask for them by name. Bounds their memory."""


class EngineTheme(Theme):
    max_batch: int = Field(default=16, ge=1, le=256)
    """Answers generated together; more raise throughput and the time of each token."""
    prompt_tokens: int = Field(default=256, ge=1)
    """Tokens of new conversations that are read between two tokens of the answers being written: more begin sooner, and
    each holds the others up."""
    max_queue: int = Field(default=512, ge=1)
    """Answers waiting before callers are told to back off."""
    threads: int = Field(default=2, ge=1)
    """Threads of the model runtime."""
    text_every_s: float = Field(default=0.02, ge=0)
    """Seconds between two messages of an answer after its first: each costs as much as a token of a small model."""


class ShadowTheme(Theme):
    at_once: int = Field(default=2, ge=1, le=16)
    """Pairs of a rollout's shadow phase that are written at once, while nobody waits for any other answer; further ones
    are dropped and counted. More make pairs sooner and hold a shown answer up by a slower token, once."""
    late_s: float = Field(default=60.0, gt=0)
    """Seconds after the shown answer in which both unseen ones must come; a later pair is dropped and counted."""


class RecordTheme(CallerTheme):
    feedback: str = "127.0.0.1:50051"
    """Address of the feedback service that takes the interactions."""
    spool: Path = Path("rejoinder-data/spool/policy")
    """Folder of the local store that interactions pass through."""
    spool_max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """Bound of that store: at most half of the volume it lies on. Full: answers go on, from stable, and are counted."""
    drain_s: float = Field(default=5.0, ge=0)
    """Seconds at shutdown for what waits in the store; what is left lies on disk for the next process."""


class PolicySettings(Theme):
    server: ServerSettings = ServerSettings(port=50052)
    """Ports, limits, TLS and callers."""
    model: ModelTheme = ModelTheme()
    """Which policy, and what may be asked of it."""
    engine: EngineTheme = EngineTheme()
    """How answers are put together."""
    shadow: ShadowTheme = ShadowTheme()
    """Answers that are scored and not shown."""
    arms: ArmsTheme = ArmsTheme()
    """Where it is heard who is served what."""
    record: RecordTheme = RecordTheme()
    """Where answers are logged."""

    @property
    def artefacts(self) -> Path:
        """The local folder of artefacts. Raises BadSettings where it does not follow from the registry's address."""
        if self.model.artefacts is not None:
            return self.model.artefacts
        if "://" in self.model.registry:
            raise BadSettings("model.artefacts must be set: model.registry is no local folder")
        return Path(self.model.registry) / "artefacts"

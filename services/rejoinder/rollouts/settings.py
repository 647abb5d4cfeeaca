"""What can be turned on the rollout engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rejoinder.core.charter import inlined
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.vetoes import FAILURES, LENGTH
from rejoinder.rollouts.judging import check_kept
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.kafkatheme import KafkaGuestTheme
from rejoinder.runtime.settings import ServerSettings, Theme

#: What a rollout follows that names no plan of its own.
DEFAULT_PLAN: dict[str, Any] = {
    "vetoes": [{"name": FAILURES, "base_rate": 0.01}, {"name": LENGTH, "base_rate": 0.05}],
}


class PolicyTheme(Theme):
    name: str = "assist"
    """The line of versions that is rolled out."""
    registry: str = "rejoinder-data/registry"
    """Folder or fsspec address of the registry: versions and the served pointer."""
    replicas: tuple[str, ...] = ("127.0.0.1:50052",)
    """Addresses of all policy replicas; a step waits until each reports the right digest."""
    holdout_share: float = Field(default=0.05, ge=0, le=1)
    """Share of users never canaried, in a policy's first table; later ones keep what the table says."""


class SourceTheme(CallerTheme):
    log: Literal["sqlite", "kafka"] = "sqlite"
    """Which log's `arms` topic is read and written. kafka: log_file and owner are not looked at."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """The log on Apache Kafka; by default its topics are the feedback service's to make."""
    log_file: Path = Path("rejoinder-data/log.db")
    """The log's SQLite file, whose `arms` topic is read."""
    owner: str = "127.0.0.1:50051"
    """Address of the log's owner (the feedback service), through which tables are written."""
    ledger: str = "127.0.0.1:50055"
    """Address of the ledger, which has what users thought of each arm."""


class EngineTheme(Theme):
    memory: Path = Path("rejoinder-data/rollouts.db")
    """What the engine remembers; one process owns it."""
    poll_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at the world; at most a sixth of a lease, so that renewals are never late."""
    judges: tuple[str, ...] = ("minilm",)
    """Extractors whose signals count; their versions are pinned when a rollout begins."""
    behind_s: float = Field(default=300.0, gt=0)
    """An extractor that is this far behind the log is away: the verdict is unmeasured."""


class RolloutsSettings(Theme):
    server: ServerSettings = ServerSettings(port=50057)
    """The chassis."""
    policy: PolicyTheme = PolicyTheme()
    """What is rolled out."""
    source: SourceTheme = SourceTheme()
    """Where everything is read and written."""
    engine: EngineTheme = EngineTheme()
    """How it runs."""
    plan: dict[str, Any] = DEFAULT_PLAN
    """Steps, margins, vetoes and charter of a rollout that names no plan of its own, as in a recipe's `rollout`; the
    charter may be the name of a YAML file, from the process's working directory unless it begins with a slash."""

    @property
    def whole_plan(self) -> dict[str, Any]:
        """The plan with its charter in it. Raises BadFile."""
        return inlined(self.plan, Path())

    def check(self) -> None:
        """Raises BadSettings for a plan that is none, or that such an engine cannot keep."""
        check_kept(RolloutPlan.from_mapping(self.whole_plan), self.engine.poll_s)

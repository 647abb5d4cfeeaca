"""What a stage of a round in a cluster is told: the round by the operator, the rest by `rounds.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.kafkatheme import KafkaGuestTheme
from rejoinder.runtime.settings import Theme


class RoundTheme(Theme):
    policy: str = ""
    """The line of versions."""
    number: int = 0
    """The claimed number."""
    holder: str = ""
    """Who holds the claim."""
    evidence: str = ""
    """Only answers of this policy; empty for all."""
    stable: str = ""
    """What was stable when the round began."""
    base: Path = Path("base")
    """The base model's folder."""
    base_digest: str = ""
    """Its digest; another one ends the stage."""
    base_export: str = ""
    """Digest of its export in the registry."""
    folder: Path = Path("/volume")
    """The volume that all stages share: pair sets, artefacts, the train stage's files."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """The recipe, as the round froze it."""


class ServicesTheme(CallerTheme):
    registry: str = "/volume/registry"
    """Folder or fsspec address of the registry."""
    ledger: str = "127.0.0.1:50055"
    """Address of the ledger."""
    policy: str = ""
    """Address of the policy service, which answers for gates and some builders; empty: not there."""
    reward: str = ""
    """Address of the reward service; empty: not there."""


class ErasureTheme(Theme):
    key_file: Path = Path("/etc/rejoinder/secrets/key")
    """The deployment's key, by which rows of pair sets are salted; the ledger's own."""


class LogTheme(Theme):
    kind: Literal["sqlite", "kafka"] = "kafka"
    """Where a round's events are told. kafka: owner is not looked at."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """The log on Apache Kafka."""
    owner: str = "127.0.0.1:50051"
    """Address of the log's owner (the feedback service)."""


class RoundsSettings(Theme):
    round: RoundTheme = RoundTheme()
    """Which round."""
    services: ServicesTheme = ServicesTheme()
    """With whom."""
    erasure: ErasureTheme = ErasureTheme()
    """Whom it must be able to find again."""
    log: LogTheme = LogTheme()
    """What hears of it."""

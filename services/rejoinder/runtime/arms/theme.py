"""Where a process that draws arms hears who is served what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rejoinder.runtime.kafkatheme import KafkaGuestTheme
from rejoinder.runtime.settings import Theme
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import Log


class ArmsTheme(Theme):
    log: Literal["sqlite", "kafka"] = "sqlite"
    """Which log's `arms` topic is followed."""
    log_file: Path | None = None
    """The SQLite log; unset: stable only, from the registry."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """The log on Apache Kafka; by default its topics are the feedback service's to make."""
    poll_s: float = Field(default=0.1, gt=0)
    """How often the topic is read: bounds the time from a decision to its first answer."""
    registry_poll_s: float = Field(default=2.0, gt=0)
    """How often the served pointer is read again, in case the topic is away."""
    holdout_share: float = Field(default=0.05, ge=0, le=1)
    """Share of users never trained on and never canaried, until a table of the topic says otherwise."""


def open_log(arms: ArmsTheme, name: str) -> Log | None:
    """The log whose `arms` topic is followed, read only: nobody here appends. name: of the process, for the brokers."""
    if arms.log == "kafka":
        return kafka_log(arms.kafka.model_dump(), name, appends=False, only=("arms",))
    return None if arms.log_file is None else FollowerLog(str(arms.log_file), None)  # type: ignore[arg-type]

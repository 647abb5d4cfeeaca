"""What can be turned on the signal worker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rejoinder.core.audit import SHARE, is_second
from rejoinder.core.errors import BadSettings
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.kafkatheme import KafkaGuestTheme
from rejoinder.runtime.settings import ServerSettings, Theme


class SourceTheme(CallerTheme):
    ledger: str = "127.0.0.1:50055"
    """Address of the ledger, which has what is joined."""
    log: Literal["owner", "kafka"] = "owner"
    """Who takes the signals: the owner of the SQLite log, from one worker; or Kafka, from any number that share the
    work (the ledger tells it them on the topic `evidence`, its `log.relay`)."""
    owner: str = "127.0.0.1:50051"
    """Address of the log's owner (the feedback service)."""
    kafka: KafkaGuestTheme = KafkaGuestTheme()
    """The log on Apache Kafka; by default its topics are the feedback service's to make."""
    slot: str = Field(default="", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,199})?$")
    """Only with log: kafka. This worker's name among those that share the work: stable, so that one that is started
    again takes its own place over at once, and no other's, or the two throw each other out. "" takes the ordinal at the
    end of HOSTNAME (`signals-2` of a StatefulSet: 2), "0" where there is none."""
    attempts: int = Field(default=20, ge=1)
    """Only with log: kafka. Steps in a row that may fail for what passes by itself (ledger or brokers away, waits up to
    5 s, so a minute and a half) before the process ends; nothing is passed over."""


class ReadTheme(Theme):
    extractors: tuple[str, ...] = ("minilm", "comment", "ratings", "edit", "actions")
    """Rows of the extractor table, in order; another list reads everything again."""
    model: Path = Path("build/models/signals")
    """Folder of the exported signal encoder."""
    calibration: Path | None = None
    """File that `rejoinder signals audit --out` wrote from labels of your own traffic: its probabilities and
    thresholds replace the shipped ones. Another file is another version of the extractor, which reads everything again.
    Unset, the encoder's own."""
    threads: int = Field(default=1, ge=1)
    """Threads of the encoder: latency does not matter here, the neighbours do."""
    batch: int = Field(default=128, ge=1, le=1000)
    """Pieces of evidence of one turn; bounds what a kill makes the worker read again."""
    idle_s: float = Field(default=0.2, gt=0)
    """Pause when there is nothing to read; bounds how late a signal is, and on Kafka how late a stop is noticed."""


class JudgeEndpoint(Theme):
    url: str = Field(default="", pattern=r"^(https?://[^/].*)?$")
    """Only with judge: audit-endpoint. Base address of an OpenAI-compatible server, `/v1` included. It gets the answers
    and what users said to them, of the sample; nobody else does."""
    model: str = ""
    """The model's name there."""
    key_file: Path | None = None
    """API key for it, read again at each call; unset: none is sent."""
    wait_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds for all questions of one batch of evidence; what is not answered by then has no second reading. The
    batch's signals wait for it; with source.log: kafka batches that take more than 8 s are made smaller."""
    parallel: int = Field(default=4, ge=1, le=64)
    """Questions at once."""


class AuditTheme(Theme):
    judge: Literal["", "audit-lexicon", "audit-endpoint"] = ""
    """Second judge of a sample of what the first ones read: rules in this process, or a server; "" is none. Its
    readings are compared with the first judge's by arm (the veto `audit` of a rollout) and are no evidence."""
    share: float = Field(default=SHARE, gt=0, le=1)
    """Share of turns that it reads."""
    seed: str = Field(default="rejoinder", max_length=200)
    """Of the draw; another one draws another sample."""
    endpoint: JudgeEndpoint = JudgeEndpoint()


class SignalsSettings(Theme):
    server: ServerSettings = ServerSettings(port=50056)
    source: SourceTheme = SourceTheme()
    read: ReadTheme = ReadTheme()
    audit: AuditTheme = AuditTheme()

    def check(self) -> None:
        """Raises BadSettings for a judge in the wrong place, or one that is to be asked nowhere."""
        second = [name for name in self.read.extractors if is_second(name)]
        if second:
            raise BadSettings(f"read.extractors: {', '.join(second)} judges the audit sample; name it in audit.judge")
        asked = self.audit.endpoint
        if self.audit.judge == "audit-endpoint" and not (asked.url and asked.model):
            raise BadSettings("audit.endpoint needs a url and a model")

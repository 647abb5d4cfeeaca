"""What can be turned on the signal worker."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from rejoinder.runtime.settings import ServerSettings, Theme


class SourceTheme(Theme):
    ledger: str = "127.0.0.1:50055"
    """Address of the ledger, which has what is joined."""
    owner: str = "127.0.0.1:50051"
    """Address of the log's owner (the feedback service), which takes the signals."""
    token_file: Path | None = None
    """Bearer token for both, of role internal; unset: none."""


class ReadTheme(Theme):
    extractors: tuple[str, ...] = ("minilm", "comment", "ratings", "edit", "actions")
    """Rows of the extractor table, in order; another list reads everything again."""
    model: Path = Path("build/models/signals")
    """Folder of the exported signal encoder."""
    threads: int = Field(default=1, ge=1)
    """Threads of the encoder: latency does not matter here, the neighbours do."""
    batch: int = Field(default=128, ge=1, le=1000)
    """Pieces of evidence of one turn; bounds what a kill makes the worker read again."""
    idle_s: float = Field(default=0.2, gt=0)
    """Pause when there is nothing to read; bounds how late a signal is."""


class SignalsSettings(Theme):
    server: ServerSettings = ServerSettings(port=50056)
    source: SourceTheme = SourceTheme()
    read: ReadTheme = ReadTheme()

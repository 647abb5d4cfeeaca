"""A data folder: log, ledger and key of somebody who runs no services. One process at a time owns it.

rejoinder-data/log.db   ledger.db   key   registry/
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import click

from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import NotFound
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Feedback, Interaction, RoundEvent, Signal
from rejoinder.feedback.ingest import Ingest, ItemResult
from rejoinder.feedback.settings import LimitSettings, LogTheme
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.settings import Forgetting, LedgerSettings, read_key
from rejoinder.registry.datasets import PairSets
from rejoinder.runtime.call import Call
from rejoinder.stream.headers import record_of
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

DEFAULT = "rejoinder-data"

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    envvar="REJOINDER_DATA",
    show_default=True,
    help="Data folder (log, ledger, key).",
)
ledger_option = click.option(
    "--address", help="The ledger service (host:port); by default that of `rejoinder up`, if it runs, else the folder."
)
tenant_option = click.option("--tenant", default="default", show_default=True, help="Whose data.")


def erasure_key(folder: Path) -> bytes:
    """The deployment's key, made at the first use and readable by its owner alone. Raises BadSettings."""
    path = folder / "key"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_key(path)
    key = secrets.token_bytes(32)
    with os.fdopen(made, "w") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(file.fileno())
    return key


class DataFolder:
    """owns: the log and the ledger of the folder while it is open. Raises StoreOwned when another process does."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        if not create and not (folder / "log.db").exists():
            raise NotFound(f"{folder} is no data folder yet; `rejoinder import FILE --data {folder}` makes one")
        self.folder = folder
        settings = LedgerSettings(Forgetting(erasure_key(folder)))
        clock = SystemClock()
        self.log = SqliteLog(str(folder / "log.db"), LogSettings(), clock)
        try:
            self.ledger = Ledger(folder / "ledger.db", settings, clock, others=(PairSets(folder / "rounds"),))
        except BaseException:
            self.log.close()
            raise
        self._ingest = Ingest(self.log, LimitSettings(), LogTheme().dedupe_s, clock, Metrics())

    def record(self, topic: str, events: Sequence[Interaction | Feedback]) -> list[ItemResult]:
        """Takes events under the rules of the ingest service; durable on return."""
        items = [(event.event_id, event) for event in events]
        return asyncio.run(self._ingest.record(topic, items, Call.local()))

    def project(self) -> int:
        """Brings the ledger up to the log; answers how many records it read."""
        return self.ledger.project(self.log)

    def publish(self, signals: Sequence[Signal]) -> None:
        """Appends derived events; durable on return."""
        self.log.append([record_of(signal, "rejoinder/signals") for signal in signals]).result()

    def record_round(self, event: RoundEvent) -> None:
        """Says on the log what a round's stage made; durable on return."""
        self.log.append([record_of(event, "rejoinder/rounds")]).result()

    def close(self) -> None:
        self.ledger.close()
        self.log.close()

    def __enter__(self) -> DataFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

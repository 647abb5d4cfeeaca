"""A data folder: log, ledger and key of somebody who runs no services. One process at a time owns it.

rejoinder-data/log.db   ledger.db   key   feedback.key   registry/   rounds/   snapshots/   spool/
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Aborted, NotFound
from rejoinder.core.keyfile import kept_key
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import RoundEvent, Signal
from rejoinder.feedback.ingest import Event, Ingest, ItemResult
from rejoinder.feedback.redact import Redactor
from rejoinder.feedback.settings import LimitSettings
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.settings import Forgetting, LedgerSettings
from rejoinder.registry.datasets import PairSets
from rejoinder.runtime.call import Call
from rejoinder.runtime.spool import Spools
from rejoinder.stream.headers import record_of
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

DEFAULT = "rejoinder-data"
#: In a data folder: who looked at users' words.
LOOKS = "looks.jsonl"
#: In a data folder: what its ledger is rebuilt from beyond the log's retention.
SNAPSHOTS = "snapshots"

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
    return kept_key(folder / "key")


def ledger_settings(folder: Path, owner: str) -> dict[str, Any]:
    """Of a ledger process of this folder. owner: address of the feedback service, for who appends."""
    return {
        "log": {"path": str(folder / "log.db"), "owner": owner},
        "store": {
            "path": str(folder / "ledger.db"),
            "pair_sets": str(folder / "rounds"),
            "spools": str(folder / "spool"),
            "snapshots": str(folder / SNAPSHOTS),
        },
        "erasure": {"key_file": str(folder / "key")},
        "looks": {"file": str(folder / LOOKS)},
    }


class DataFolder:
    """owns: the log and the ledger of the folder while it is open. Raises StoreOwned when another process does.

    redactor: of what is recorded; None records texts as they come.
    """

    def __init__(self, folder: Path, *, create: bool = False, redactor: Redactor | None = None) -> None:
        if not create and not (folder / "log.db").exists():
            raise NotFound(f"{folder} is no data folder yet; `rejoinder import FILE --data {folder}` makes one")
        self.folder = folder
        kept = LogSettings()
        forgetting = Forgetting(erasure_key(folder), log_retention_s=kept.retention_s)
        settings = LedgerSettings(forgetting, snapshots=folder / SNAPSHOTS)
        clock = SystemClock()
        self.log = SqliteLog(str(folder / "log.db"), kept, clock)
        try:
            self.ledger = Ledger(
                folder / "ledger.db", settings, clock, others=(PairSets(folder / "rounds"), Spools(folder / "spool"))
            )
        except BaseException:
            self.log.close()
            raise
        self._ingest = Ingest(self.log, LimitSettings(), kept.dedupe_s, clock, Metrics(), redactor)

    def record(self, topic: str, events: Sequence[Event]) -> list[ItemResult]:
        """Takes events under the rules of the ingest service; durable on return."""
        items = [(event.event_id, event) for event in events]
        return asyncio.run(self._ingest.record(topic, items, Call.local()))

    def project(self) -> int:
        """Brings the ledger up to the log, then lets both keep house: only what was read may end. Answers how many
        records were read."""
        read = self.ledger.project(self.log)
        self.log.keep_house()
        with suppress(Aborted):
            self.ledger.keep_house()
        self.ledger.finish_erasures(self.log, now=False)
        return read

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

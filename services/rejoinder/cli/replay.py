"""`rejoinder replay`: the ledger rebuilt from the log must be the ledger."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from rejoinder.cli.datafolder import DataFolder, data_option
from rejoinder.cli.ledger import password_option, process_settings, settings_option
from rejoinder.cli.output import json_option, print_json, progress
from rejoinder.core.errors import BadFile, DataLoss
from rejoinder.ledger.intake.projector import Kept
from rejoinder.ledger.intake.replay import Told, compare
from rejoinder.ledger.settings import LedgerProcess, LedgerSettings
from rejoinder.ledger.stores.dialect import Postgres, Where, where_of
from rejoinder.ledger.stores.store import Store


@dataclass(frozen=True)
class Standing:
    """The ledger that is compared, and the log that it was made from."""

    store: Store
    log: Kept
    settings: LedgerSettings


@click.command()
@data_option
@settings_option
@click.option("--into", help="Keep the rebuilt ledger: a file that does not exist, or an empty PostgreSQL database.")
@password_option
@click.option(
    "--from-snapshot",
    "snapshot",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Begin with this snapshot of the ledger, then read the log: where the log no longer has everything.",
)
@json_option
def command(
    data: Path,
    settings: Path | None,
    into: str | None,
    password_file: Path | None,
    snapshot: Path | None,
    as_json: bool,
) -> None:
    """Rebuild the ledger from the log and compare the digests; exit status 2 where they differ.

    Of a data folder, or with --settings of a running ledger process, beside it. What the log no longer has is left out
    on both sides, unless a snapshot has it.
    """
    started = time.monotonic()
    process = process_settings(settings)
    with beside(process) if process else _folder(data) as standing, _place(into, password_file) as place:
        with progress("rebuilding", 1) as advance:
            told: Told = lambda done, total: advance(done / max(total, 1))  # noqa: E731
            try:
                found = compare(standing.store, standing.log, place, standing.settings, told=told, snapshot=snapshot)
            except FileExistsError:
                raise BadFile(f"{into} exists; a rebuilt ledger needs a new file", path=into) from None
    if as_json:
        print_json(
            {
                "ledger": found.standing,
                "rebuilt": found.rebuilt,
                "equal": found.equal,
                "records": found.records,
                "cut": found.cut,
                "seconds": time.monotonic() - started,
            }
        )
    if not found.equal:
        raise DataLoss(
            "the ledger rebuilt from the log differs from the ledger", ledger=found.standing, rebuilt=found.rebuilt
        )
    if not as_json:
        note = "; older records are in the ledger alone" if found.cut else ""
        click.echo(f"equal: {found.standing} ({found.records} records{note})")


@contextmanager
def _folder(data: Path) -> Iterator[Standing]:
    with DataFolder(data) as opened:
        with progress("projecting", None):
            opened.project()
        yield Standing(opened.ledger.store, opened.log, opened.ledger.settings)


@contextmanager
def beside(process: LedgerProcess) -> Iterator[Standing]:
    """The ledger of a process that may run meanwhile: read, never written."""
    from rejoinder.ledger.__main__ import open_log

    settings = process.ledger()
    store = Store(process.where(), read_only=True)
    log = open_log(process)
    try:
        yield Standing(store, log, settings)
    finally:
        log.close()
        store.close()


@contextmanager
def _place(into: str | None, password_file: Path | None) -> Iterator[Where]:
    if into is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "ledger.db"
        return
    where = where_of(into, password_file)
    if isinstance(where, Postgres):
        from rejoinder.ledger.stores.migrate import migrate_unused

        migrate_unused(where)
    yield where

"""`rejoinder ledger migrate`: the tables of a ledger, brought to what this version needs."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from rejoinder.cli.datafolder import data_option
from rejoinder.cli.output import json_option, print_json
from rejoinder.core.errors import NotFound
from rejoinder.ledger.settings import LedgerProcess
from rejoinder.ledger.stores.dialect import where_of
from rejoinder.runtime.settings import load

settings_option = click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings of the ledger process; the environment (REJOINDER_LEDGER__STORE__URL) overrides them.",
)
password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Its first line is the database's password.",
)


def process_settings(settings: Path | None, theme: str = "store") -> LedgerProcess | None:
    """The process's settings where somebody gave any: a file, or its store (another theme, where that is what matters)
    in the environment, unless a folder was named on the command line."""
    folder = click.get_current_context().get_parameter_source("data") is ParameterSource.COMMANDLINE
    around = any(name.startswith(f"REJOINDER_LEDGER__{theme.upper()}__") for name in os.environ)
    if settings is None and (folder or not around):
        return None
    return load(LedgerProcess, "ledger", settings)


@click.group()
def command() -> None:
    """The ledger's own upkeep."""


@command.command("migrate")
@data_option
@settings_option
@click.option("--store", help="A ledger's SQLite file or PostgreSQL address, instead of a folder or settings.")
@password_option
@json_option
def migrate_command(
    data: Path, settings: Path | None, store: str | None, password_file: Path | None, as_json: bool
) -> None:
    """Bring the tables up to this version; run it before the processes of a new version start.

    Safe to run again. Steps that only add run beside a ledger process of the version before.
    """
    # Here, as it takes a third of a second to import.
    from rejoinder.ledger.stores.migrate import migrate

    process = process_settings(settings)
    where = where_of(store, password_file) if store else process.where() if process else data / "ledger.db"
    if isinstance(where, Path) and not where.exists():
        raise NotFound(f"there is no ledger at {where}; the first process to use it makes it", path=where)
    done = migrate(where)
    if as_json:
        print_json({"ledger": done.where, "before": done.before, "after": done.after, "steps": done.steps})
    elif done.steps:
        click.echo(f"{done.where}: schema {done.before} → {done.after}")
    else:
        click.echo(f"{done.where}: schema {done.after}, nothing to do")

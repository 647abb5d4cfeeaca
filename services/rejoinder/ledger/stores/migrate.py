"""The ledger's tables, from one version to the next: `rejoinder ledger migrate`, or the ledger process's own
`python -m rejoinder.ledger migrate`. The steps lie in migrations/versions.

Expand, then contract. A step that only adds leaves `meta.compatible` as it is, and programs of before go on working on
the tables; only when none of them runs any more does a later step take away, and raises `compatible`. So a program
works with every version from the one that it needs up to the first that says it is too old.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Connection

from rejoinder.ledger.stores.dialect import Database, Where, open_database
from rejoinder.ledger.stores.store import check, refuse_used, version

HERE = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class Migrated:
    """Versions of the tables; 0 where there were none. steps: revisions that ran."""

    where: str
    before: int
    after: int
    steps: tuple[str, ...]


def migrate(where: Where, to: str = "head") -> Migrated:
    """Brings the tables up, in one transaction.

    Tables of a later program that this one can work on are left as they are. Raises StoreOwned where a step must be
    alone and a ledger process runs, StoreUnavailable, BadSettings, FailedPrecondition for tables it cannot work on.
    """
    database = open_database(where)
    with database.migrating() as connection:
        return bring_up(connection, database, to)


def migrate_unused(where: Where) -> Migrated:
    """The same for a database that is to hold a new ledger. Raises FailedPrecondition, and changes nothing, where it
    holds one."""
    database = open_database(where)
    with database.migrating() as connection:
        if version(connection):
            refuse_used(connection, database)
        return bring_up(connection, database)


def bring_up(connection: Connection, database: Database, to: str = "head") -> Migrated:
    """`migrate` in the caller's transaction."""
    before = version(connection)
    script = ScriptDirectory.from_config(_config(connection))
    context = MigrationContext.configure(connection)
    if before and context.get_current_revision() is None:
        # A file of before the migrations: it has what the first one makes.
        context.stamp(script, "0001")
    pending = _pending(script, context.get_current_revision(), to)
    if pending is None:
        check(connection, database)
        return Migrated(database.name, before, before, ())
    if any(getattr(step.module, "ALONE", False) for step in pending):
        database.alone(connection)
    command.upgrade(_config(connection), to)
    return Migrated(database.name, before, version(connection), tuple(step.revision for step in pending))


def _pending(script: ScriptDirectory, current: str | None, to: str) -> list[Script] | None:
    """The steps that are missing, in order; None where the tables are those of a later program."""
    try:
        return list(reversed(list(script.iterate_revisions(to, current or "base"))))
    except RevisionError:
        return None


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    return config

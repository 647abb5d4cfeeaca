"""ledger/migrate: what the migrations make is what the tables declare, on both databases, and rows come through it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from rejoinder.core.errors import FailedPrecondition, NotFound, StoreOwned
from rejoinder.ledger.stores.dialect import Where, open_database
from rejoinder.ledger.stores.migrate import migrate, migrate_unused
from rejoinder.ledger.stores.schema import (
    DAILY,
    HASHED,
    SCHEMA_VERSION,
    attempts,
    interactions,
    meta,
    metadata,
    positions,
    tombstones,
)
from rejoinder.ledger.stores.store import Store, read_meta
from sqlalchemy import Connection, inspect, select, text, update
from sqlalchemy.exc import DBAPIError


@pytest.fixture
def empty(bench) -> Iterator[Where]:
    """A place without tables."""
    if bench.server is None:
        yield bench.root / "empty.db"
        return
    made = bench.server.database("template0")
    yield made
    bench.close()
    bench.server.forget(made)


def shape(connection: Connection) -> Mapping[str, Any]:
    """Columns, keys and indexes of every declared table, as the database has them."""
    found = inspect(connection)
    return {
        table: {
            "columns": {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "indexes": {i["name"]: (i["column_names"], bool(i["unique"])) for i in found.get_indexes(table)},
        }
        for table in metadata.tables
    }


def declared(connection: Connection) -> Mapping[str, Any]:
    """The same, as schema.py says; in PostgreSQL the key of a daily table ends with the day's column."""

    def said(kind: str) -> str:
        return "DOUBLE PRECISION" if daily and kind == "FLOAT" else kind

    dialect, daily = connection.dialect, connection.dialect.name == "postgresql"
    return {
        table.name: {
            "columns": {c.name: (said(c.type.compile(dialect)), c.nullable) for c in table.columns},
            "key": [c.name for c in table.primary_key] + (["accepted_at"] if daily and table in DAILY else []),
            "indexes": {i.name: ([c.name for c in i.columns], bool(i.unique)) for i in table.indexes},
        }
        for table in metadata.sorted_tables
    }


def test_the_migrations_make_what_the_tables_declare(empty: Where) -> None:
    assert migrate(empty).steps == ("0001", "0002", "0003")
    with open_database(empty).migrating() as connection:
        assert shape(connection) == declared(connection)
        names = [table.name for table in metadata.sorted_tables]
        options = {"include_name": lambda name, kind, parents: kind != "table" or name in names, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        if connection.dialect.name == "postgresql":
            split = "SELECT partrelid::regclass::text, partstrat FROM pg_partitioned_table"
            expected = {t.name: "r" for t in DAILY} | {t.name: "h" for t in HASHED}
            assert dict(connection.execute(text(split)).all()) == expected
    assert migrate(empty).steps == ()


def test_a_column_that_no_migration_made_is_found_out(empty: Where) -> None:
    """The control."""
    migrate(empty)
    with open_database(empty).migrating() as connection:
        connection.execute(text("ALTER TABLE readers ADD COLUMN forgotten INTEGER"))
        assert shape(connection) != declared(connection)


def test_a_new_file_has_what_the_migrations_make(bench) -> None:
    migrate(bench.root / "migrated.db")
    shapes = []
    for where in (bench.root / "migrated.db", bench.root / "made.db"):
        store = Store(where)
        with store.reading() as connection:
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            shapes.append((shape(connection), version, dict(connection.execute(text("SELECT * FROM meta")).all())))
        store.close()
    assert shapes[0] == shapes[1]


def an_old_ledger(bench, where: Where, noted: bool) -> str:
    """Makes tables of version 1 with the rows that a ledger of three events has in them; answers its digest. noted:
    whether Alembic knows of them; a file of before the migrations has no such note."""
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.said("f1", "x1")))
    migrate(where, "0001")
    with ledger.store.reading() as source, open_database(where).migrating() as target:
        for table in metadata.sorted_tables:
            if table.name not in ("meta", "attempts"):
                rows = [dict(row) for row in source.execute(select(table)).mappings()]
                if rows:
                    target.execute(table.insert(), rows)
        if not noted:
            target.execute(text("DROP TABLE alembic_version"))
    return ledger.digest()


@pytest.mark.parametrize("noted", [True, False])
def test_rows_come_through_the_migrations(bench, empty: Where, noted: bool) -> None:
    digest = an_old_ledger(bench, empty, noted)
    with pytest.raises(FailedPrecondition, match="has schema 1, this program needs 3; run: rejoinder ledger migrate"):
        Store(empty, read_only=True)
    if bench.server is not None:
        with pytest.raises(FailedPrecondition, match="run: rejoinder ledger migrate"):
            Store(empty)
        done = migrate(empty)
        assert (done.before, done.after, done.steps) == (1, SCHEMA_VERSION, ("0002", "0003"))
    # A file is brought up by whoever opens it to write.
    ledger = bench.again(empty)
    assert ledger.digest() == digest
    with ledger.store.reading() as connection:
        held = select(interactions.c.tenant, interactions.c.interaction_id, interactions.c.attempt_id)
        assert connection.execute(select(*list(attempts.c)[:3])).all() == connection.execute(held).all()
    assert ledger.project(bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.said("f1", "x1"))) == 0


def test_a_database_that_holds_a_ledger_is_not_touched_for_a_new_one(bench, empty: Where) -> None:
    an_old_ledger(bench, empty, noted=True)
    with pytest.raises(FailedPrecondition, match="holds a ledger already"):
        migrate_unused(empty)
    with open_database(empty).migrating() as connection:
        assert read_meta(connection, "schema_version") == 1
        assert inspect(connection).has_table("attempts") is False
        connection.execute(positions.delete())
        connection.execute(tombstones.insert(), [{"mark": "m", "subject": "s"}])
    with pytest.raises(FailedPrecondition, match="holds a ledger already"):
        migrate_unused(empty)


def test_a_step_that_fails_leaves_a_file_as_it_was(tmp_path: Path) -> None:
    """And its lock and connection are given back."""
    where = tmp_path / "a folder" / "ledger.db"
    migrate(where, "0001")
    database = open_database(where)
    assert database.migrate_command.endswith(f"'{where}'")
    with pytest.raises(DBAPIError), database.migrating() as connection:
        connection.execute(text("SELECT * FROM nothing"))
    open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)]
    assert not [name for name in open_files if str(tmp_path) in name]


def _is_open(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")


def test_nothing_to_read_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no ledger at"):
        Store(tmp_path / "ledger.db", read_only=True)


def test_a_ledgers_process_starts_without_what_only_migrations_need() -> None:
    """It takes a third of a second to import."""
    modules = "rejoinder.ledger.__main__, rejoinder.cli.ledger, rejoinder.cli.replay"
    script = f"import sys, {modules}; print('alembic' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_an_empty_database_is_refused_with_the_command(bench, empty: Where) -> None:
    if bench.server is None:
        Store(empty).close()
        return
    with pytest.raises(FailedPrecondition, match=r"has no tables yet.*; run: rejoinder ledger migrate"):
        Store(empty)


def test_a_step_that_fills_a_table_waits_for_no_owner_to_be_there(bench, empty: Where) -> None:
    migrate(empty, "0001")
    database = open_database(empty)
    if bench.server is None:
        lock = database.own()
        with pytest.raises(StoreOwned):
            migrate(empty)
        lock.close()
    else:
        engine = database.writer()
        with engine.begin(), pytest.raises(StoreOwned, match="stop it, migrate, start it again"):
            migrate(empty)
        engine.dispose()
    assert migrate(empty).after == SCHEMA_VERSION


def test_tables_of_a_later_program_are_left_alone_or_refused(bench) -> None:
    """What a deployment that goes back to the version before meets."""
    ledger = bench.ledger()
    ledger.close()

    def noted(step: str, compatible: int) -> None:
        with open_database(ledger.store.where).migrating() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :step"), {"step": step})
            values = {"schema_version": int(step), "compatible": compatible}
            for name, value in values.items():
                connection.execute(update(meta).where(meta.c.name == name).values(value=value))

    noted("9999", SCHEMA_VERSION)
    assert (migrate(ledger.store.where).after, migrate(ledger.store.where).steps) == (9999, ())
    noted("9999", 9999)
    with pytest.raises(FailedPrecondition, match="install a newer one"):
        migrate(ledger.store.where)
    noted(f"{SCHEMA_VERSION:04}", SCHEMA_VERSION)

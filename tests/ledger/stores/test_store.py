"""ledger/store, digest, snapshot: one owner, short reads, and files that say when they are not what they were (U17)."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import Aborted, BadFile, DataLoss, FailedPrecondition
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.stores.schema import SCHEMA_VERSION, feedback, interactions, meta
from rejoinder.ledger.stores.snapshot import restore, write_snapshot
from rejoinder.ledger.stores.store import Store, pages
from sqlalchemy import delete, select, update


def test_a_failed_transaction_leaves_nothing(bench) -> None:
    ledger = bench.ledger()

    def breaks() -> None:
        with ledger.store.writing() as connection:
            connection.execute(meta.insert(), [{"name": "left", "value": 1}])
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        breaks()
    with ledger.store.reading() as connection:
        assert connection.execute(select(meta).where(meta.c.name == "left")).first() is None


def test_the_lock_goes_with_its_owner(bench) -> None:
    ledger = bench.ledger()
    ledger.close()
    bench.again(ledger.store.where)


def test_a_reader_beside_the_owner_cannot_write_and_sees_what_was_committed(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1")))
    reader = Store(ledger.store.where, read_only=True)
    with pytest.raises(FailedPrecondition), reader.writing():
        pass
    with reader.reading() as connection:
        assert len(connection.execute(select(interactions)).all()) == 1
    reader.close()


def test_a_file_that_is_no_database_is_no_ledger(tmp_path: Path) -> None:
    text = tmp_path / "chats.jsonl"
    text.write_text("{}\n" * 100)
    with pytest.raises(BadFile, match="is no ledger"):
        Store(text, read_only=True)


def noted(ledger: Ledger, **values: int) -> None:
    """Writes what a migration would have noted, and closes the ledger."""
    with ledger.store.writing() as connection:
        for name, value in values.items():
            connection.execute(update(meta).where(meta.c.name == name).values(value=value))
    ledger.close()


def test_tables_older_than_the_program_needs_are_refused_with_the_command(bench) -> None:
    ledger = bench.ledger()
    noted(ledger, schema_version=1)
    with pytest.raises(
        FailedPrecondition, match=rf"has schema 1, this program needs {SCHEMA_VERSION}; run: rejoinder ledger migrate"
    ):
        bench.again(ledger.store.where)


def test_newer_tables_work_until_a_migration_took_something_away(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1")))
    noted(ledger, schema_version=99)
    again = bench.again(ledger.store.where)
    assert again.project(bench.of(bench.answer("x1"), bench.said("f1", "x1"))) == 1
    noted(again, compatible=99)
    with pytest.raises(FailedPrecondition, match="install a newer one"):
        bench.again(ledger.store.where)


def test_pages_give_every_row_once_in_order(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(*(bench.answer(f"x{n:02}", after=n) for n in range(23))))
    query = select(interactions.c.tenant, interactions.c.event_id)
    found = list(pages(ledger.store, query, [interactions.c.tenant, interactions.c.event_id], size=5))
    assert [len(page) for page in found] == [5, 5, 5, 5, 3]
    assert [row.event_id for page in found for row in page] == [f"e-x{n:02}" for n in range(23)]


def test_a_digest_read_while_another_process_writes_is_refused(bench) -> None:
    ledger = bench.ledger()
    reader = Store(ledger.store.where, read_only=True)
    with pytest.raises(Aborted), reader.quiet():
        ledger.project(bench.of(bench.answer("x1")))
    reader.close()


def test_the_digest_sees_a_lost_row_and_the_audit_an_altered_word(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1"), bench.said("f1", "x1")))
    before = ledger.digest()
    with ledger.store.writing() as connection:
        connection.execute(update(interactions).values(response="something else"))
    assert ledger.audit() == [("interactions", "t", "e-x1")]
    with ledger.store.writing() as connection:
        connection.execute(delete(feedback))
    assert ledger.digest() != before


def test_a_snapshot_restores_to_the_same_ledger_which_reads_on(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.said("f1", "x1")), bench.ledger()
    log.put_bytes("feedback", b"\xff poison")
    ledger.project(log)
    written = write_snapshot(ledger.store, bench.root / "snapshots")
    assert write_snapshot(ledger.store, bench.root / "snapshots") == written
    place = bench.place()
    restore(written, place)
    log.put(bench.said("f2", "x1"))
    ledger.project(log)
    with bench.again(place) as restored:
        assert restored.project(log) == 1
        assert restored.digest() == ledger.digest()
        assert restored.parity() == ledger.parity()
    assert [path for path in (bench.root / "snapshots").iterdir() if path != written] == []


def test_a_snapshot_with_another_content_than_its_name_is_refused(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1")))
    written = write_snapshot(ledger.store, bench.root)
    wrong = written.with_name("0" * 64 + ".jsonl.gz")
    written.rename(wrong)
    with pytest.raises(DataLoss):
        restore(wrong, bench.place())

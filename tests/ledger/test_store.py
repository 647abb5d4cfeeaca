"""ledger/store, digest, snapshot: one owner, short reads, and files that say when they are not what they were (U17)."""

from __future__ import annotations

import pytest
from rejoinder.core.errors import Aborted, DataLoss, FailedPrecondition
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.schema import feedback, interactions, meta
from rejoinder.ledger.snapshot import restore
from rejoinder.ledger.store import Store, pages
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
    Ledger(ledger.store.path, bench.settings()).close()


def test_a_reader_beside_the_owner_cannot_write_and_sees_what_was_committed(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1")))
    reader = Store(ledger.store.path, read_only=True)
    with pytest.raises(FailedPrecondition), reader.writing():
        pass
    with reader.reading() as connection:
        assert len(connection.execute(select(interactions)).all()) == 1
    reader.close()


def test_a_ledger_of_another_schema_says_how_to_rebuild_it(bench) -> None:
    ledger = bench.ledger()
    with ledger.store.writing() as connection:
        connection.execute(update(meta).where(meta.c.name == "schema_version").values(value=99))
    ledger.close()
    with pytest.raises(FailedPrecondition, match=r"python -m rejoinder\.ledger replay"):
        Ledger(ledger.store.path, bench.settings())


def test_pages_give_every_row_once_in_order(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(*(bench.answer(f"x{n:02}", after=n) for n in range(23))))
    query = select(interactions.c.tenant, interactions.c.event_id)
    found = list(pages(ledger.store, query, [interactions.c.tenant, interactions.c.event_id], size=5))
    assert [len(page) for page in found] == [5, 5, 5, 5, 3]
    assert [row.event_id for page in found for row in page] == [f"e-x{n:02}" for n in range(23)]


def test_a_digest_read_while_another_process_writes_is_refused(bench) -> None:
    ledger = bench.ledger()
    reader = Store(ledger.store.path, read_only=True)
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
    written = ledger.snapshot(bench.root / "snapshots")
    assert ledger.snapshot(bench.root / "snapshots") == written
    restore(written, bench.root / "restored.db")
    log.put(bench.said("f2", "x1"))
    ledger.project(log)
    with Ledger(bench.root / "restored.db", bench.settings(), bench.clock) as restored:
        assert restored.project(log) == 1
        assert restored.digest() == ledger.digest()
        assert restored.parity() == ledger.parity()
    assert [path for path in (bench.root / "snapshots").iterdir() if path != written] == []


def test_a_snapshot_with_another_content_than_its_name_is_refused(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1")))
    written = ledger.snapshot(bench.root)
    wrong = written.with_name("0" * 64 + ".jsonl.gz")
    written.rename(wrong)
    with pytest.raises(DataLoss):
        restore(wrong, bench.root / "restored.db")

"""ledger/forget, marks and erase: a user is forgotten everywhere, whichever was read first (F16, U11, U17, U23)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core import types
from rejoinder.core.errors import NotFound
from rejoinder.ledger.book import replay
from rejoinder.ledger.schema import erasure_stores, feedback, interactions, set_aside
from rejoinder.ledger.snapshot import SnapshotStore, restore
from sqlalchemy import func, select

SECRET = "my name is Ann and I live in Harbour Street"


def count(ledger, table) -> int:
    with ledger.store.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def a_life(bench) -> Sequence[object]:
    """What one user left: an answered question, words, a parked comment, a conflict, nameless words; and another's."""
    mine = bench.answer("x1", conversation_id="c", response=SECRET)
    return [
        mine,
        bench.said("f1", "x1", kind=types.Comment(SECRET)),
        bench.said("parked", "unknown", kind=types.Comment(SECRET)),
        bench.said("f1", "x1", kind=types.Comment(f"{SECRET}, twice")),
        bench.said("nameless", "x1", user_id="", kind=types.Edit(SECRET)),
        bench.said("also-nameless", "", conversation_id="c", turn=1, user_id="", kind=types.Comment(SECRET)),
        bench.signal("f1", "x1"),
        bench.answer("y1", user_id="bob"),
        bench.said("g1", "y1", user_id="bob"),
    ]


def test_an_erased_user_is_in_no_table_and_in_no_byte_of_the_file(bench) -> None:
    log, ledger = bench.of(*a_life(bench)), bench.ledger()
    ledger.project(log)
    assert SECRET.encode() in bytes_of(bench.root)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    assert (count(ledger, interactions), count(ledger, feedback), count(ledger, set_aside)) == (1, 1, 0)
    assert SECRET.encode() not in bytes_of(bench.root)
    assert sum(row.erased for row in ledger.parity()) == 7
    assert all(row.balanced for row in ledger.parity())


def test_a_rebuilt_ledger_that_reads_the_erasure_first_has_the_same_digest(bench) -> None:
    log, ledger = bench.of(*a_life(bench)), bench.ledger()
    ledger.project(log)
    before = ledger.digest()
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    rebuilt = replay(log, bench.root / "new.db", ledger.settings, bench.clock)
    assert rebuilt == ledger.digest() != before


def test_a_late_record_of_before_is_dropped_and_a_returning_user_counts_again(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    ticket = ledger.erase("t", "ann", log.append)
    grace = ledger.settings.forgetting.grace_s
    log.put(bench.answer("late", after=grace - 1.0))
    log.put(bench.answer("again", after=grace + 1.0))
    ledger.project(log)
    with ledger.store.reading() as connection:
        assert connection.execute(select(interactions.c.interaction_id)).scalars().all() == ["again"]
    assert ticket.raw_copy_ends_at == bench.now + grace + ledger.settings.forgetting.log_retention_s


def test_asked_twice_the_ticket_is_the_same_until_its_grace_is_over(bench) -> None:
    log, ledger = bench.of(bench.answer("x1")), bench.ledger()
    first = ledger.erase("t", "ann", log.append)
    ledger.project(log)
    assert ledger.erase("t", "ann", log.append) == first
    bench.clock.advance(ledger.settings.forgetting.grace_s + 1)
    assert ledger.erase("t", "ann", log.append).ticket != first.ticket


def test_the_erasure_on_the_log_names_nobody(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    ledger.erase("t", "ann", log.append)
    assert b"ann" not in log.everything()[0].value.replace(b"tenant", b"")


def test_of_a_conflict_the_other_users_body_takes_the_place_of_the_erased_one(bench) -> None:
    one = bench.said("f1", "", kind=types.Comment("first"))
    log, ledger = bench.of(one, replace(one, user_id="bob", kind=types.Comment("second"))), bench.ledger()
    ledger.project(log)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    with ledger.store.reading() as connection:
        assert connection.execute(select(feedback.c.user_id)).scalars().all() == ["bob"]


class Pairs:
    """A set of pairs beyond the ledger: (tenant, user, accepted), or one that cannot be reached."""

    name = "pair_sets"

    def __init__(self, rows: Sequence[tuple[str, str, float]]) -> None:
        self.rows = list(rows)
        self.broken = False

    def erase(self, covers) -> int:
        if self.broken:
            raise OSError("the bucket is away")
        kept = [row for row in self.rows if not covers(*row)]
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed


def states(ledger, ticket: str) -> dict[str, str]:
    with ledger.store.reading() as connection:
        query = select(erasure_stores.c.store, erasure_stores.c.state).where(erasure_stores.c.ticket == ticket)
        return dict(connection.execute(query).all())


def test_every_store_is_listed_done_or_pending_and_a_broken_one_is_tried_again(bench) -> None:
    pairs = Pairs([("t", "ann", bench.now), ("t", "bob", bench.now)])
    log, ledger = bench.of(bench.answer("x1")), bench.ledger(others=(pairs,))
    ticket = ledger.erase("t", "ann", log.append).ticket
    ledger.project(log)
    pairs.broken = True
    assert ledger.finish_erasures() == {"pair_sets": "OSError"}
    assert states(ledger, ticket)["pair_sets"] == "pending"
    pairs.broken = False
    assert ledger.finish_erasures() == {}
    assert [user for _, user, _ in pairs.rows] == ["bob"]
    assert states(ledger, ticket)["pair_sets"] == "pending"  # late records may still come
    bench.clock.advance(ledger.settings.forgetting.grace_s + 1)
    ledger.finish_erasures()
    found = states(ledger, ticket)
    assert found == dict.fromkeys(("ledger", "parked", "dead_letters", "windows", "pair_sets"), "done")
    assert {node.id for node in ledger.trace("t", ticket) if node.kind == "store"} == set(found)


def test_a_snapshot_forgets_too_and_restores_to_the_erased_ledger(bench) -> None:
    folder = bench.root / "snapshots"
    log, ledger = bench.of(*a_life(bench)), bench.ledger(others=(SnapshotStore(folder, bench.settings()),))
    ledger.project(log)
    old = ledger.snapshot(folder)
    ledger.erase("t", "ann", log.append)
    ledger.project(log)
    ledger.finish_erasures()
    left = list(folder.glob("*.gz"))
    assert len(left) == 1
    assert left != [old]
    copy = bench.root / "restored.db"
    restore(left[0], copy)
    assert SECRET.encode() not in copy.read_bytes()


def test_nobody_of_that_name_is_no_trace(bench) -> None:
    with pytest.raises(NotFound):
        bench.ledger().trace("t", "nothing")

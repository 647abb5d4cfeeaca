"""ledger/rawcopies: a ticket names the date of the last raw copy, whenever the log took it, and waits for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.ledger.erasure.verify import left_of
from rejoinder.ledger.intake.replay import replay
from rejoinder.ledger.settings import Forgetting
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.schema import meta
from rejoinder.ledger.stores.store import Store
from rejoinder.stream.topics import OwnTopics, with_own
from sqlalchemy import select, text

from tests.ledger.erasure.test_forget import states

DAY = 86_400.0


@pytest.fixture
def settings(bench):
    return replace(bench.settings(), forgetting=Forgetting(bench.key, log_retention_s=30 * DAY, own={"own": 90 * DAY}))


def ends_at(ledger, ticket: str, tenant: str = "t") -> float:
    (node,) = (n for n in ledger.trace(tenant, ticket) if n.id == "log")
    return float(node.facts["ends_at"])


def test_a_copy_that_the_log_took_late_opens_the_ticket_again_and_moves_its_date(bench, settings) -> None:
    """F16. A spool that was cut off for days, or a second delivery: erased in the ledger, and raw on the log."""
    log, ledger = bench.of(bench.answer("x1")), bench.ledger(settings)
    ticket = ledger.erase("t", "ann", log.append)
    ledger.project(log)
    bench.clock.advance(40 * DAY)
    log.expire()
    ledger.finish_erasures(log)
    assert states(ledger, ticket.ticket)["log"] == "done"
    assert ends_at(ledger, ticket.ticket) == ticket.raw_copy_ends_at

    late = bench.now + 35 * DAY
    log.put(bench.answer("x1"), at=late)
    ledger.project(log)
    assert states(ledger, ticket.ticket)["log"] == "pending"
    assert ends_at(ledger, ticket.ticket) == late + 30 * DAY
    ledger.finish_erasures(log)
    assert states(ledger, ticket.ticket)["log"] == "pending"
    (told,) = (one for one in left_of(ledger.store, settings, log, (), "t", "ann") if one.store == "log")
    assert (told.found, told.ends_at) == (1, late + 30 * DAY)
    # Another's records of then keep nobody waiting: what counts is where the covered copy lies.
    log.expire()
    log.put(bench.answer("y1", user_id="bob"), at=late + 1.0)
    ledger.project(log)
    ledger.finish_erasures(log)
    assert states(ledger, ticket.ticket)["log"] == "done"


def test_the_date_is_a_function_of_the_records(bench, settings) -> None:
    log, ledger = bench.of(bench.answer("x1")), bench.ledger(settings)
    ticket = ledger.erase("t", "ann", log.append)
    log.put(bench.said("f", "x1", user_id=""), part=1, at=bench.now + 50 * DAY)
    ledger.project(log, until=lambda: False)
    where = bench.place()
    replay(log, where, settings, bench.clock)
    rebuilt = bench.again(where, settings)
    ledger.finish_erasures(log)
    rebuilt.finish_erasures(log)
    assert ends_at(ledger, ticket.ticket) == ends_at(rebuilt, ticket.ticket) == bench.now + 80 * DAY


def test_each_ticket_waits_for_the_topics_that_its_user_is_on(bench, settings) -> None:
    """A tenant whose own topics are kept for longer holds up its own tickets alone, before the move and after it."""
    log, ledger = bench.log(), bench.ledger(settings)
    log.topics = with_own({"own": OwnTopics(retention_s=90 * DAY)})
    log.put(bench.answer("x1"))
    log.put(bench.answer("o1", tenant="own"), topic="interactions@own")
    log.put(bench.answer("s1", tenant="own", user_id="eve"))
    ledger.project(log)
    shared, own, before = (
        ledger.erase(tenant, user, log.append) for tenant, user in (("t", "ann"), ("own", "ann"), ("own", "eve"))
    )
    grace = settings.forgetting.grace_s
    assert shared.raw_copy_ends_at == bench.now + grace + 30 * DAY
    assert own.raw_copy_ends_at == bench.now + grace + 90 * DAY
    ledger.project(log)
    bench.clock.advance(40 * DAY)
    log.starts = {("interactions", 0): 2}
    ledger.finish_erasures(log)
    assert states(ledger, shared.ticket)["log"] == "done"
    assert states(ledger, before.ticket)["log"] == "done"
    assert states(ledger, own.ticket)["log"] == "pending"
    assert ends_at(ledger, own.ticket, "own") == own.raw_copy_ends_at
    log.starts |= {("interactions@own", 0): 1}
    ledger.finish_erasures(log)
    assert states(ledger, own.ticket)["log"] == "done"


def test_a_users_copies_are_found_by_the_index(tmp_path: Path) -> None:
    """Once a minute for every open ticket, among the notes of everybody who was ever erased."""
    store = Store(tmp_path / "ledger.db")
    with closing(store), store.reading() as connection:
        query = select(meta.c.name).where(dialect.begins(meta.c.name, "raw abc "))
        said = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        (plan,) = connection.execute(text(f"EXPLAIN QUERY PLAN {said}"))
    assert plan.detail.startswith("SEARCH")

"""ledger/replay: a ledger made anew from the log is the one that stands, cut to the same records (U17)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core import types
from rejoinder.core.errors import FailedPrecondition, LogReplaced
from rejoinder.ledger.intake.replay import Compared, compare, replay
from rejoinder.ledger.stores.retention import retain
from rejoinder.ledger.stores.schema import feedback
from rejoinder.ledger.stores.store import Store
from sqlalchemy import update

DAY_S = 86_400


def a_log(bench):
    """Answers and replies of some days, copies, conflicts, garbage, an erased user and one who names nobody."""
    log = bench.log()
    for n in range(30):
        user = ("ann", "bob", "cyd")[n % 3]
        log.put(bench.answer(f"x{n}", after=n * 3_600, conversation_id=f"c{n}", user_id=user), part=n % 2)
        log.put(bench.said(f"f{n}", f"x{n}", after=n * 3_600 + 60, user_id=user, kind=types.Rating(number=n % 2)))
        log.put(bench.said(f"n{n}", "", after=n * 3_600 + 70, user_id="", conversation_id=f"c{n}", turn=1), part=1)
        if n % 4 == 0:
            log.put(bench.said(f"f{n}", f"x{n}", after=n * 3_600 + 60, user_id=user), part=1)
    log.put_bytes("feedback", b"\xff")
    log.put(bench.erasure("bob", after=90 * 3_600))
    return log


@pytest.fixture
def aged(bench):
    """A log whose first records are gone, read by offset."""
    log = a_log(bench)
    runs, plain = log.runs, log.read
    keep = 20

    def read(topic, partition, offset, max_records=500):
        start = offset if topic == "erasures" else max(offset, keep)
        return plain(topic, partition, start, max_records)

    def age() -> None:
        log.read = read

    log.age = age
    assert all(len(run) > keep for (topic, _), run in runs.items() if topic == "feedback")
    return log


def test_a_rebuilt_ledger_is_equal_and_one_that_was_altered_is_not(bench) -> None:
    log, ledger = a_log(bench), bench.ledger()
    ledger.project(log)
    found = compare(ledger.store, log, bench.place(), ledger.settings, bench.clock)
    assert found == Compared(ledger.digest(), ledger.digest(), len(log.everything()), False)
    with ledger.store.writing() as connection:
        connection.execute(update(feedback).where(feedback.c.event_id == "f2").values(state="unlinked"))
    assert not compare(ledger.store, log, bench.place(), ledger.settings, bench.clock).equal


def test_the_rebuilt_one_reads_no_further_than_the_standing_one_has(bench) -> None:
    log, ledger = a_log(bench), bench.ledger()
    ledger.project(log)
    before = ledger.digest()
    log.put(bench.answer("later", after=100 * 3_600))
    log.put(bench.erasure("cyd", after=200 * 3_600))
    assert compare(ledger.store, log, bench.place(), ledger.settings, bench.clock).rebuilt == before
    ledger.project(log)
    assert ledger.digest() != before
    assert compare(ledger.store, log, bench.place(), ledger.settings, bench.clock).equal


def test_what_the_log_has_dropped_is_left_out_on_both_sides(bench, aged) -> None:
    ledger = bench.ledger()
    ledger.project(aged)
    aged.age()
    found = compare(ledger.store, aged, bench.place(), ledger.settings, bench.clock)
    assert (found.equal, found.cut) == (True, True)
    assert found.standing != ledger.digest()
    assert 0 < found.records < len(aged.everything())
    with ledger.store.writing() as connection:
        connection.execute(update(feedback).where(feedback.c.event_id == "f29").values(facts='{"event_id":"f29"}'))
    altered = compare(ledger.store, aged, bench.place(), ledger.settings, bench.clock)
    assert not altered.equal


def test_a_standing_ledger_is_followed_while_it_reads_on(bench) -> None:
    log, ledger = a_log(bench), bench.ledger()
    ledger.project_once(log, 30)
    reader = Store(ledger.store.where, read_only=True)
    heard = []

    def told(done: int, total: int) -> None:
        heard.append((done, total))
        ledger.project_once(log, 30)

    found = compare(reader, log, bench.place(), ledger.settings, bench.clock, told)
    reader.close()
    assert found.equal
    assert found.standing == ledger.digest()
    assert all(0 < done <= total for done, total in heard)


def test_days_that_retention_dropped_go_from_the_rebuilt_one_too(bench) -> None:
    settings = replace(bench.settings(dedupe_s=3 * DAY_S), retention_s=4 * DAY_S)
    log, ledger = bench.of(*(bench.answer(f"x{n}", after=n * DAY_S) for n in range(9))), bench.ledger(settings)
    ledger.project(log)
    before = ledger.digest()
    retain(ledger.store, settings)
    assert ledger.digest() != before
    assert compare(ledger.store, log, bench.place(), settings, bench.clock).equal


@pytest.mark.parametrize("how", ["another id", "a lower end"])
def test_another_log_is_named_as_such(bench, how: str) -> None:
    log, ledger = a_log(bench), bench.ledger()
    ledger.project(log)
    if how == "another id":
        log.ids["feedback"] = "made anew"
    else:
        log.runs["feedback", 0].pop()
    with pytest.raises(LogReplaced):
        compare(ledger.store, log, bench.place(), ledger.settings, bench.clock)


def test_a_place_that_is_in_use_is_left_alone(bench) -> None:
    log, ledger = a_log(bench), bench.ledger()
    ledger.project(log)
    ledger.close()
    with pytest.raises((FileExistsError, FailedPrecondition)):
        replay(log, ledger.store.where, ledger.settings, bench.clock)

"""ledger/retention and partitions: days are made ahead and on demand, and go whole when their time is over (U23)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core import types
from rejoinder.core.errors import WindowExpired
from rejoinder.ledger.reading.windows import Leaving
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores.partitions import made, partition_of
from rejoinder.ledger.stores.retention import retain
from rejoinder.ledger.stores.schema import attempts, feedback, interactions, joined, seen, set_aside
from rejoinder.ledger.stores.snapshot import restore, write_snapshot
from sqlalchemy import func, select, text

from tests.ledger.conftest import ListLog

DAY_S = 86_400


def keeping(bench, days: float) -> LedgerSettings:
    return replace(bench.settings(dedupe_s=3 * DAY_S), retention_s=days * DAY_S)


def count(ledger, table) -> int:
    with ledger.store.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def days_of(ledger, table) -> set[str]:
    with ledger.store.reading() as connection:
        return made(connection, table.name)


def test_old_days_go_whole_and_what_must_outlive_them_stays(bench) -> None:
    ledger = bench.ledger(keeping(bench, 10))
    log = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.said("f1", "x1"), bench.signal("f1", "x1"))
    ledger.project(log)
    window = ledger.window("loop", 1, "assist", ledger.cut(), Leaving())
    log.put(bench.answer("x2", after=12 * DAY_S))
    log.put(bench.said("f2", "x2", after=12 * DAY_S + 5))
    ledger.project(log)
    before = ledger.parity()
    assert retain(ledger.store, ledger.settings) % (DAY_S * 1_000_000) == 0
    held = {table.name: count(ledger, table) for table in (interactions, feedback, seen, attempts, joined, set_aside)}
    assert held == {"interactions": 1, "feedback": 1, "seen": 2, "attempts": 1, "joined": 1, "set_aside": 0}
    assert ledger.parity() == before
    verified = ledger.verify_window("loop", 1)
    assert (verified.ok, verified.redacted) == (True, len(window.evidence))
    assert retain(ledger.store, ledger.settings) == retain(ledger.store, replace(ledger.settings, retention_s=None))


def test_one_stamp_far_ahead_ends_nothing(bench) -> None:
    """The log's own time bounds the clock, or one stranger's stamp would empty the ledger and free its ids."""
    ledger, log = bench.ledger(keeping(bench, 10)), bench.of(bench.answer("x1"), bench.answer("x2"))
    log.put(bench.answer("far", accepted_at=bench.now + 400 * DAY_S), at=bench.now + 10)
    ledger.project(log)
    assert retain(ledger.store, ledger.settings) < bench.now * 1_000_000
    assert count(ledger, interactions) == 3
    log.put(bench.answer("x1"), at=bench.now + 20)
    ledger.project(log)
    assert [(row.stored, row.duplicate) for row in ledger.parity()] == [(3, 1)]


def test_without_a_retention_nothing_goes(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1"), bench.answer("x2", after=900 * DAY_S)))
    assert retain(ledger.store, ledger.settings) == 0
    assert count(ledger, interactions) == 2


def test_two_ledgers_of_the_same_records_drop_the_same(bench) -> None:
    log = bench.of(*(bench.answer(f"x{day}", after=day * DAY_S) for day in range(12)))
    at_once, daily = bench.ledger(keeping(bench, 5)), bench.ledger(keeping(bench, 5))
    at_once.project(log)
    retain(at_once.store, at_once.settings)
    while not daily.project_once(log, 2).caught_up:
        retain(daily.store, daily.settings)
    retain(daily.store, daily.settings)
    assert daily.digest() == at_once.digest()
    assert count(daily, interactions) == 6


def a_conversation_over_midnight(bench) -> ListLog:
    """The first turn is the last of a day; the second had another version; then time passes."""
    log, midnight = bench.log(), DAY_S - bench.now % DAY_S
    shared = {"conversation_id": "c"}
    log.put(bench.answer("x", after=midnight - 30, turn=1, **shared))
    log.put(bench.said("f", after=midnight + 30, turn=1, **shared))
    asked = (types.Message(types.Role.ASSISTANT, "answer x"), types.Message(types.Role.USER, "and now?"))
    log.put(bench.answer("y", after=midnight + 60, turn=2, version="v2", messages=asked, **shared))
    log.put(bench.answer("later", after=midnight + 10.5 * DAY_S))
    return log


def joins_of(ledger) -> tuple[dict[str, tuple[str, str, bool]], list[tuple[str, str]]]:
    """Of every answer its parent, how it was found and whether it is crossed; of every feedback state and target."""
    with ledger.store.reading() as connection:
        columns = interactions.c
        threads = select(columns.interaction_id, columns.parent, columns.parent_how, columns.crossed)
        found = {name: tuple(thread) for name, *thread in connection.execute(threads)}
        links = select(feedback.c.state, feedback.c.target_interaction)
        return found, [tuple(link) for link in connection.execute(links)]


def test_what_was_joined_to_a_dropped_answer_stays_joined(bench) -> None:
    """`crossed` keeps turns out of verdicts: a later turn must not make it untrue."""
    ledger, log = bench.ledger(keeping(bench, 10)), a_conversation_over_midnight(bench)
    ledger.project(log)
    retain(ledger.store, ledger.settings)
    threads, links = joins_of(ledger)
    assert (threads["y"], links) == (("x", "digest", True), [("joined", "x")])
    for turn in (3, 4):
        log.put(bench.answer(f"z{turn}", after=11 * DAY_S, turn=turn, version="v2", conversation_id="c"))
    ledger.project(log)
    assert joins_of(ledger)[1] == links
    assert {name: crossed for name, (_, _, crossed) in joins_of(ledger)[0].items()} == {
        "y": True,
        "z3": True,
        "z4": True,
        "later": False,
    }


def test_known_what_comes_after_its_answer_went_is_joined_as_if_that_had_never_been(bench) -> None:
    """The limit (NOTES.md): the ledger of a log that is read at once has more joins than one that dropped meanwhile."""
    log = a_conversation_over_midnight(bench)
    daily, at_once = bench.ledger(keeping(bench, 10)), bench.ledger(keeping(bench, 10))
    daily.project(log)
    retain(daily.store, daily.settings)
    log.put(bench.said("late", "x", after=11 * DAY_S))
    for ledger in (daily, at_once):
        ledger.project(log)
        retain(ledger.store, ledger.settings)
    assert sorted(joins_of(daily)[1]) == [("joined", "x"), ("unlinked", "")]
    assert sorted(joins_of(at_once)[1]) == [("joined", "x"), ("joined", "x")]
    assert daily.digest() != at_once.digest()


def test_housekeeping_makes_room_for_tomorrow_and_once_a_day(bench) -> None:
    ledger = bench.ledger()
    ledger.keep_house()
    today = int(bench.now) // DAY_S
    expected = {partition_of("feedback", today), partition_of("feedback", today + 1), "feedback_other"}
    if bench.server is not None:
        assert days_of(ledger, feedback) == expected
    bench.clock.advance(DAY_S)
    ledger.keep_house()
    ledger.keep_house()
    if bench.server is not None:
        assert days_of(ledger, feedback) == expected | {partition_of("feedback", today + 2)}


@pytest.fixture
def days(bench):
    """Only where there are partitions: a file has none."""
    return None if bench.server is None else lambda ledger: days_of(ledger, interactions)


def test_a_stamp_that_is_no_plausible_day_makes_no_partition_and_is_stored(bench, days) -> None:
    ledger = bench.ledger()
    far = bench.answer("far", accepted_at=bench.now + 4_000 * DAY_S)
    log = bench.log()
    log.put(far, at=bench.now)
    log.put(bench.answer("x1"))
    ledger.project(log)
    assert count(ledger, interactions) == 2
    if days:
        assert days(ledger) == {"interactions_other", partition_of("interactions", int(bench.now) // DAY_S)}
    # When the day has come, it moves there.
    log.put(bench.answer("then", accepted_at=far.accepted_at), at=far.accepted_at)
    ledger.project(log)
    assert count(ledger, interactions) == 3
    if days:
        assert partition_of("interactions", far.accepted_at // DAY_S) in days(ledger)
        with ledger.store.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM interactions_other")).scalar() == 0


def test_stamps_that_are_too_old_make_no_partition(bench, days) -> None:
    """Each would make one, and every statement takes a lock for each."""
    ledger, log = bench.ledger(), bench.log()
    for n in range(60):
        log.put(bench.answer(f"x{n}", accepted_at=bench.now - n * 10 * DAY_S), at=bench.now)
    ledger.project(log)
    assert [row.expired for row in ledger.parity()] == [56]
    if days:
        assert len(days(ledger)) == 1 + 4


RATED = types.Rating(number=1.0, scale_max=1.0)


def test_a_windows_row_whose_answer_went_is_no_altered_one(bench) -> None:
    """The answer of the last minute of a day goes; its rating, of the next, stays."""
    ledger, log = bench.ledger(keeping(bench, 10)), bench.log()
    midnight = DAY_S - bench.now % DAY_S
    log.put(bench.answer("x1", after=midnight - 30))
    log.put(bench.said("f1", "x1", after=midnight + 30, kind=RATED))
    log.put(bench.said("f2", "x1", after=midnight + 40))
    log.put(bench.signal("f2", "x1", after=midnight + 50))
    for n, after in enumerate((midnight - 20, midnight + 35)):
        log.put(bench.answer(f"y{n}", after=after))
        log.put(
            bench.said(f"g{n}", "y1", after=midnight + 60 + n, kind=types.Comparison(f"y{n}", "", types.Choice.THIS))
        )
    log.put(bench.answer("z", after=midnight + 5))
    log.put(bench.said("z1", "z", after=midnight + 6, kind=RATED))
    ledger.project(log)
    assert len(ledger.window("loop", 1, "assist", ledger.cut(), Leaving()).evidence) == 5
    log.put(bench.answer("later", after=midnight + 10.5 * DAY_S))
    ledger.project(log)
    retain(ledger.store, ledger.settings)
    verified = ledger.verify_window("loop", 1)
    assert (verified.ok, verified.altered, verified.redacted) == (True, 0, 3)


def test_a_window_over_dropped_events_has_expired(bench) -> None:
    ledger = bench.ledger(keeping(bench, 10))
    log = bench.of(bench.answer("x1"), bench.said("f1", "x1", kind=RATED))
    ledger.project(log)
    ledger.window("loop", 1, "assist", ledger.cut(), Leaving())
    log.put(bench.answer("x2", after=100))
    log.put(bench.said("f2", "x2", after=200, kind=RATED))
    log.put(bench.answer("later", after=30 * DAY_S))
    ledger.project(log)
    assert len(ledger.preview("loop", "assist").evidence) == 1
    folder = bench.root / "snapshots"
    retain(ledger.store, ledger.settings)
    with pytest.raises(WindowExpired, match="has dropped by its retention"):
        ledger.window("loop", 2, "assist", ledger.cut(), Leaving())
    # A ledger made from its snapshot knows of it too.
    restored = bench.place()
    restore(write_snapshot(ledger.store, folder), restored)
    with pytest.raises(WindowExpired):
        bench.again(restored).preview("loop", "assist")

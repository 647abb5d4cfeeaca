"""Tenants with topics of their own in one ledger: nobody writes for another, and nobody is counted twice (U19)."""

from __future__ import annotations

import pytest
from rejoinder.core import codec, types
from rejoinder.core.errors import LogReplaced
from rejoinder.core.ids import subject_of
from rejoinder.ledger.stores.digest import ledger_digest
from rejoinder.ledger.stores.schema import set_aside, tombstones
from rejoinder.stream.topics import OwnTopics, with_own
from sqlalchemy import select

from tests.ledger.conftest import KEY, ListLog

OWN = with_own({"own": OwnTopics()})


@pytest.fixture
def log(bench) -> ListLog:
    made = bench.log()
    made.topics = OWN
    return made


def erase(log: ListLog, tenant: str, user: str, now: float) -> None:
    log.put(types.Erasure(subject_of(KEY, tenant, user), f"ticket-{tenant}-{user}", now + 100.0, 0.0))


def letters(ledger) -> list[tuple[str, str, bool]]:
    with ledger.store.reading() as connection:
        query = select(set_aside.c.topic, set_aside.c.reason, set_aside.c.value)
        return [(row.topic, row.reason, b"forged" in row.value) for row in connection.execute(query)]


def test_what_lies_on_another_tenants_topic_is_nobodys_event(bench, log: ListLog) -> None:
    """Whoever holds one tenant's rights must not speak for another one's users."""
    log.put(bench.answer("x1", tenant="t", response="forged"), topic="interactions@own")
    log.put(bench.answer("x1", tenant="own"), topic="interactions@own")
    log.put(bench.answer("x1", tenant="t"), at=bench.now + 1.0)
    ledger = bench.ledger()
    ledger.project(log)
    assert letters(ledger) == [("interactions@own", "FOREIGN_TENANT", True)]
    for tenant in ("t", "own"):
        (node,) = (n for n in ledger.trace(tenant, "x1") if n.kind == "interaction")
        assert node.digest
    rows = {row.topic: (row.read, row.stored, row.dead_lettered) for row in ledger.parity() if row.read}
    assert rows == {"interactions": (1, 1, 0), "interactions@own": (2, 1, 1)}


@pytest.mark.parametrize("first", ["erasure", "record"])
def test_a_forged_record_is_erased_with_the_user_that_it_names_and_takes_nobody_along(
    bench, log: ListLog, first: str
) -> None:
    """It leaves no marks: or a forged answer of an erased user would take the words of others who name none."""
    ledger = bench.ledger()
    forged = bench.answer("x9", tenant="t", response="forged")
    if first == "erasure":
        erase(log, "t", "ann", bench.now)
    log.put(forged, topic="interactions@own")
    log.put(bench.said("f", "x9", tenant="t", user_id=""))
    ledger.project(log)
    if first == "record":
        assert letters(ledger)
        erase(log, "t", "ann", bench.now)
        ledger.project(log)
    assert not letters(ledger)
    assert sum(row.erased for row in ledger.parity()) == 1
    assert sum(row.stored for row in ledger.parity() if row.topic == "feedback") == 1
    with ledger.store.reading() as connection:
        assert len(connection.execute(select(tombstones)).all()) <= 1


def test_where_an_event_lies_changes_nothing(bench, log: ListLog) -> None:
    """U17: a tenant that moved, with copies on both sides and answers apart from their feedback, is as one that never
    did."""
    never = bench.log()
    events = [bench.answer(f"x{i}", tenant="own", user_id=f"u{i % 3}", after=i) for i in range(8)]
    events += [
        bench.said(f"f{i}", f"x{i}", tenant="own", user_id=f"u{i % 3}", kind=types.Rating(number=1.0)) for i in range(8)
    ]
    for i, event in enumerate(events):
        never.put(event, part=i % 2)
        kind = "interactions" if isinstance(event, types.Interaction) else "feedback"
        log.put(event, part=i % 2, topic=f"{kind}@own" if i % 3 else "")
        if i % 4 == 0:
            log.put(event, part=0, topic=f"{kind}@own")
    for each in (never, log):
        erase(each, "own", "u1", bench.now)
    ledgers = [bench.ledger() for _ in range(2)]
    for ledger, each in zip(ledgers, (never, log), strict=True):
        ledger.project(each)
    assert len({ledger_digest(ledger.store) for ledger in ledgers}) == 1
    windows = [ledger.window("assist", 1, "", ledger.cut()) for ledger in ledgers]
    assert windows[0].manifest.digest == windows[1].manifest.digest
    assert windows[1].evidence


def test_a_tenants_topics_that_are_no_more_stop_nobody(bench, log: ListLog) -> None:
    """Given up after their retention, they are as empty ones: the process that opens the log has made sure of that."""
    log.put(bench.answer("x1", tenant="own"), topic="interactions@own")
    ledger = bench.ledger()
    ledger.project(log)
    log.topics = with_own({})
    log.put(bench.answer("x2", tenant="own"))
    assert ledger.project(log) == 1


def test_bytes_on_an_own_topic_are_set_aside_as_elsewhere(bench, log: ListLog) -> None:
    log.put_bytes("signals@own", b"\xff")
    log.put_bytes("deadletters@own", codec.encode(types.DeadLetter("d", "own", "INTERNAL")))
    ledger = bench.ledger()
    ledger.project(log)
    assert [row[:2] for row in letters(ledger)] == [("signals@own", "UNREADABLE")]


def test_topics_that_were_made_anew_go_on_as_another_generation(bench, log: ListLog) -> None:
    """F06, F07: the events on them are read from the first one; nothing is in two windows, and nothing in none."""
    ledger = bench.ledger()

    def rated(name: str, topic: str) -> None:
        kind = types.Rating(number=1.0, scale_max=1.0)
        log.put(bench.answer(f"x{name}", tenant="own"), topic=f"interactions@own{topic}")
        log.put(bench.said(f"f{name}", f"x{name}", tenant="own", kind=kind), topic=f"feedback@own{topic}")

    def window(number: int) -> list[str]:
        ledger.project(log)
        return sorted(piece.id for piece in ledger.window("loop", number, "assist", ledger.cut()).evidence)

    for name in "abc":
        rated(name, "")
    assert window(1) == ["fa", "fb", "fc"]
    # At lower offsets than what was read before: one event that is known, and one that is new.
    log.topics = with_own({"own": OwnTopics(generation=2)})
    rated("c", ".g2")
    rated("d", ".g2")
    assert window(2) == ["fd"]
    # Said once too often, though they are the same topics: all of it is read again, and nothing comes of it.
    log.topics = with_own({"own": OwnTopics(generation=3)})
    for name in "cd":
        rated(name, ".g3")
    assert window(3) == []
    assert sum(row.stored for row in ledger.parity()) == 8
    assert sum(row.duplicate for row in ledger.parity()) == 6
    assert not ledger.audit()


@pytest.mark.parametrize("how", ["another id", "cut short"])
def test_an_own_topic_that_is_another_log_stops_the_ledger_and_is_named(bench, log: ListLog, how: str) -> None:
    log.put(bench.answer("x1", tenant="own"), topic="interactions@own")
    ledger = bench.ledger()
    ledger.project(log)
    if how == "another id":
        log.ids["interactions@own"] = "made anew"
    else:
        log.runs.clear()
    with pytest.raises(LogReplaced, match=r"interactions@own.*kafka\.tenants\.own\.generation: 2"):
        ledger.project(log)
    log.topics, log.ids["interactions@own.g2"] = with_own({"own": OwnTopics(generation=2)}), "another again"
    ledger.project(log)
    log.put(bench.answer("x2", tenant="own"), topic="interactions@own.g2")
    ledger.project(log)
    log.ids["interactions@own.g2"] = "and again"
    with pytest.raises(LogReplaced, match=r"kafka\.tenants\.own\.generation: 3"):
        ledger.project(log)

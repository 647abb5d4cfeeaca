"""ledger/projector: exactly once, whatever is read in whatever order (F06, F07, U01, U02, U24)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core import codec, types
from rejoinder.core.errors import LogReplaced, StoreOwned
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.intake.projector import TRUSTED_S, Projected, Projector
from rejoinder.ledger.intake.replay import replay
from rejoinder.ledger.stores.dialect import Postgres
from rejoinder.ledger.stores.schema import feedback, interactions, set_aside
from sqlalchemy import event as hooks
from sqlalchemy import select


def totals(ledger: Ledger) -> dict[str, int]:
    names = ("read", "stored", "duplicate", "conflict", "dead_lettered", "erased", "expired")
    assert all(row.balanced for row in ledger.parity())
    return {name: sum(getattr(row, name) for row in ledger.parity()) for name in names}


def only(ledger: Ledger, table, *where) -> dict:
    with ledger.store.reading() as connection:
        return dict(connection.execute(select(table).where(*where)).mappings().one())


def test_events_sent_three_times_are_stored_once_and_the_figures_are_equal(bench) -> None:
    events = [bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1")]
    once, thrice = bench.ledger(), bench.ledger()
    once.project(bench.of(*events))
    thrice.project(bench.of(*events, *events, *events))
    assert totals(thrice) | {"read": 9, "stored": 3, "duplicate": 6} == totals(thrice)
    assert thrice.digest() == once.digest()
    assert thrice.satisfaction("t", "version") == once.satisfaction("t", "version")


def test_a_second_projection_reads_nothing_again(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1")), bench.ledger()
    assert ledger.project(log) == 2
    assert ledger.project(log) == 0
    log.put(bench.said("f2", "x1"))
    assert ledger.project(log) == 1


def test_while_nothing_comes_the_store_is_looked_at_no_more_than_once_a_while(bench) -> None:
    log, ledger = bench.of(bench.answer("x1")), bench.ledger()
    statements: list[str] = []
    hooks.listen(ledger.store._readers, "before_cursor_execute", lambda *about: statements.append(about[2]))
    ledger.project(log)
    ledger.project_once(log)
    statements.clear()
    for _ in range(10):
        assert ledger.project_once(log) == Projected(0, True)
    assert not statements
    bench.clock.advance(TRUSTED_S)
    ledger.project_once(log)
    assert sum("FROM positions" in each for each in statements) == 1
    log.put(bench.said("f1", "x1"))
    assert ledger.project_once(log).records == 1, "what comes is read at once"


def test_another_log_is_seen_at_once_while_nothing_comes(bench) -> None:
    log, ledger = bench.of(bench.answer("x1")), bench.ledger()
    ledger.project(log)
    ledger.project_once(log)
    log.ids["interactions"] = "made anew"
    with pytest.raises(LogReplaced):
        ledger.project_once(log)


def test_of_two_bodies_the_lower_place_wins_even_when_it_is_read_later(bench) -> None:
    log = bench.log()
    first = bench.said("f1", "x1", kind=types.Rating(number=1.0))
    log.put(first, part=0)
    log.put(replace(first, kind=types.Rating(number=0.0)), part=1)
    ledger = bench.ledger()
    projector = Projector(ledger.store, ledger.settings, bench.clock)
    for part in (1, 0):
        with ledger.store.writing() as connection:
            projector.apply(connection, log.read("feedback", part, 0), {"feedback": "feedback"})
    assert '"number":1.0' in only(ledger, feedback)["facts"]
    lost = only(ledger, set_aside)
    assert (lost["reason"], lost["part"], lost["other_part"]) == ("EVENT_ID_CONFLICT", 1, 0)
    by_part = {row.partition: row for row in ledger.parity()}
    assert (by_part[0].stored, by_part[1].stored, by_part[1].conflict) == (1, 0, 1)


def test_a_signal_said_twice_differently_is_counted_and_no_error(bench) -> None:
    one = bench.signal("f1", "x1", "SAT")
    ledger = bench.ledger()
    ledger.project(bench.of(one, replace(one, polarity=types.Polarity.DSAT)))
    assert totals(ledger)["duplicate"] == 1
    assert totals(ledger)["conflict"] == 0


def test_one_attempt_under_two_event_ids_is_a_conflict(bench) -> None:
    first = bench.answer("x1")
    ledger = bench.ledger()
    ledger.project(bench.of(first, replace(first, event_id="another")))
    assert totals(ledger) | {"stored": 1, "conflict": 1} == totals(ledger)


def test_a_redelivery_after_the_dedupe_time_is_expired_and_not_stored_twice(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    old = bench.said("f1", "x1")
    log.put(old)
    log.put(old, at=old.accepted_at + ledger.settings.rules.dedupe_s)
    log.put(bench.said("f2", "x1"), at=old.accepted_at + ledger.settings.rules.dedupe_s - 2 * 86_400)
    ledger.project(log)
    assert totals(ledger) | {"stored": 2, "expired": 1} == totals(ledger)


@pytest.mark.parametrize("answer_first", [True, False])
def test_feedback_on_another_users_answer_is_dead_lettered_in_either_order(bench, answer_first: bool) -> None:
    answer, stolen = bench.answer("x1"), bench.said("f1", "x1", user_id="bob")
    log, ledger = bench.log(), bench.ledger()
    for event in (answer, stolen) if answer_first else (stolen, answer):
        log.put(event)
        ledger.project(log)
    assert totals(ledger) | {"stored": 1, "dead_lettered": 1} == totals(ledger)
    assert ledger.joining().foreign == 1


def test_early_feedback_is_parked_then_joined_when_its_answer_comes(bench) -> None:
    log, ledger = bench.of(bench.said("f1", "x1")), bench.ledger()
    ledger.project(log)
    assert (ledger.joining().parked, ledger.joining().joined) == (1, 0)
    log.put(bench.answer("x1"))
    ledger.project(log)
    assert (ledger.joining().parked, ledger.joining().joined) == (0, 1)


def test_parked_feedback_becomes_an_orphan_after_a_week_and_the_rest_of_a_flood_at_once(bench) -> None:
    log = bench.of(*(bench.said(f"f{n}", f"unknown{n}") for n in range(5)))
    ledger = bench.ledger(bench.settings(parked_per_principal=3))
    ledger.project(log)
    assert (ledger.joining().parked, ledger.joining().orphaned) == (3, 2)
    log.put(bench.answer("later", after=8 * 86_400))
    ledger.project(log)
    assert (ledger.joining().parked, ledger.joining().orphaned) == (0, 5)
    log.put(bench.answer("unknown0", after=8 * 86_400))
    ledger.project(log)
    assert ledger.joining().unlinked["too_late"] == 1


def test_feedback_never_joins_an_answer_of_another_tenant(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1", tenant="other"), bench.said("f1", "x1")))
    assert ledger.joining("t").unlinked == {"target_unknown": 1}


def test_poison_bytes_are_dead_lettered_and_what_follows_is_read(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    not_a_number = codec.encode(bench.said("nan", "x1", kind=types.Outcome("sale", float("nan"))))
    for value in (b"\xff\xfe", b"", not_a_number):
        log.put_bytes("feedback", value)
    log.put_bytes("erasures", b"\xff")
    log.put(bench.said("f1", "x1"))
    ledger.project(log)
    assert totals(ledger) | {"stored": 1, "dead_lettered": 4} == totals(ledger)


def test_words_may_hold_any_character_and_names_no_more_than_an_index_takes(bench) -> None:
    odd = "nul \x00, soh \x01, both \x01\x00\x01, \ud7ff, 🦔"
    longest = "🦔" * 128
    ledger = bench.ledger()
    log = bench.of(
        bench.answer("x1", response=odd, user_id="a\x00b"), bench.answer(longest, event_id=longest, attempt_id=longest)
    )
    log.put(bench.said("🐾" * 128, longest, kind=types.Comment(odd), attempt_id="", tenant="t"))
    for name in (f"{longest}!", "line\nend", "nul\x00"):
        log.put(bench.answer("x2", event_id=name))
        log.put(bench.said("f2", name))
    long = "s" * 6_000
    log.put(types.DeadLetter(event_id="d", reason="EXPIRED", subject=long, accepted_at=bench.now))
    log.put(types.Erasure(long, "ticket", bench.now, 0.0))
    log.put(types.Erasure("subject", long, bench.now, 0.0))
    ledger.project(log)
    assert totals(ledger) | {"stored": 3, "dead_lettered": 9} == totals(ledger)
    assert only(ledger, interactions, interactions.c.event_id == "e-x1")["response"] == odd
    assert ledger.joining().joined == 1
    assert not ledger.audit()


def test_where_the_dead_letter_cannot_be_written_the_projector_stops_and_loses_nothing(bench) -> None:
    log, ledger = bench.of(bench.said("f1", "x1")), bench.ledger()
    log.put_bytes("feedback", b"\xff")

    def full(connection, cursor, statement, *rest) -> None:
        if "INTO set_aside" in statement:
            raise OSError("disk full")

    hooks.listen(ledger.store._engine, "before_cursor_execute", full)
    with pytest.raises(OSError, match="disk full"):
        ledger.project(log)
    assert ledger.parity() == []
    hooks.remove(ledger.store._engine, "before_cursor_execute", full)
    assert ledger.project(log) == 2


@pytest.mark.parametrize("how", ["another id", "a lower end"])
def test_another_log_stops_the_projector_with_a_command(bench, how: str) -> None:
    log, ledger = bench.of(bench.said("f1", "x1"), bench.said("f2", "x1")), bench.ledger()
    ledger.project(log)
    if how == "another id":
        log.ids["feedback"] = "made anew"
    else:
        log.runs["feedback", 0].pop()
    with pytest.raises(LogReplaced, match=r"python -m rejoinder.ledger replay"):
        ledger.project(log)


def test_a_ledger_made_anew_from_the_log_has_the_same_digest(bench) -> None:
    log, ledger = bench.of(*(bench.answer(f"x{n}", after=n) for n in range(9)), bench.said("f1", "x1")), bench.ledger()
    ledger.project(log)
    assert replay(log, bench.place(), ledger.settings, bench.clock) == ledger.digest()
    log.put(bench.said("f2", "x2"))
    assert replay(log, bench.place(), ledger.settings, bench.clock) != ledger.digest()


def test_two_processes_cannot_own_one_ledger(bench) -> None:
    where = bench.ledger().store.where
    with pytest.raises(StoreOwned):
        bench.again(replace(where, wait_s=0.1) if isinstance(where, Postgres) else where)


def test_a_turn_after_another_version_is_flagged_crossed(bench) -> None:
    ledger = bench.ledger()
    ledger.project(
        bench.of(
            bench.answer("x2", conversation_id="c", turn=2, version="v2", after=5),
            bench.answer("x1", conversation_id="c", turn=1),
        )
    )
    assert only(ledger, interactions, interactions.c.interaction_id == "x2")["crossed"]
    assert not only(ledger, interactions, interactions.c.interaction_id == "x1")["crossed"]


def test_a_worker_reads_joined_feedback_once_and_again_when_its_target_changes(bench) -> None:
    log = bench.of(bench.said("early", "x1"), bench.answer("x2"), bench.said("f2", "x2"))
    ledger = bench.ledger()
    ledger.project(log)
    first = ledger.evidence("worker", 0, 10)
    assert [(n.feedback.event_id, n.interaction.interaction_id) for n in first] == [("f2", "x2")]
    assert [n.number for n in ledger.evidence("worker", 0, 10)] == [first[0].number]
    log.put(bench.answer("x1"))
    ledger.project(log)
    assert [n.feedback.event_id for n in ledger.evidence("worker", first[-1].number, 10)] == ["early"]
    assert [n.feedback.event_id for n in ledger.evidence("a newer version", 0, 10)] == ["f2", "early"]

"""ledger/answers: newest first, a tenant's own, what users said with what speaks for it."""

from __future__ import annotations

import pytest
from rejoinder.core import types
from rejoinder.core.errors import InvalidArgument
from rejoinder.ledger.reading import answers
from rejoinder.ledger.reading.answers import Wanted
from sqlalchemy import event

from tests.ledger.reading.test_labels import label

DSAT = types.Polarity.DSAT


def names(found) -> list[str]:
    return [each.interaction.interaction_id for each in found]


def filled(bench, count: int = 6):
    log, ledger = bench.log(), bench.ledger()
    for n in range(count):
        log.put(bench.answer(f"x{n}", after=n, version=f"v{n % 2}", conversation_id=f"c{n // 3}"))
        log.put(bench.said(f"f{n}", f"x{n}", after=n + 0.1))
        log.put(bench.signal(f"f{n}", f"x{n}", "DSAT" if n % 2 else "SAT", after=n + 0.2))
    ledger.project(log)
    return log, ledger


def test_pages_follow_one_another_and_hold_each_answer_once(bench) -> None:
    _, ledger = filled(bench)
    seen, before = [], ""
    while True:
        found, before = ledger.answers(Wanted("t", limit=2, before=before))
        seen += names(found)
        if not before:
            break
    assert seen == ["x5", "x4", "x3", "x2", "x1", "x0"]


def test_only_what_is_asked_for_is_given(bench) -> None:
    _, ledger = filled(bench)
    assert names(ledger.answers(Wanted("t", DSAT))[0]) == ["x5", "x3", "x1"]
    assert names(ledger.answers(Wanted("t", conversation_id="c1"))[0]) == ["x5", "x4", "x3"]
    assert names(ledger.answers(Wanted("t", interaction_id="x2"))[0]) == ["x2"]
    assert names(ledger.answers(Wanted("t", version="v1"))[0]) == ["x5", "x3", "x1"]
    assert ledger.answers(Wanted("another"))[0] == []


def test_an_answer_comes_with_words_reactions_and_what_speaks_for_them(bench) -> None:
    log, ledger = filled(bench, 2)
    log.put(label(bench, "SAT"))
    ledger.project(log)
    (found,), _ = ledger.answers(Wanted("t", interaction_id="x1"))
    (heard,) = found.feedback
    assert found.interaction.response == "answer x1"
    assert heard.feedback.kind == types.FollowUp("no, in Celsius please")
    assert {signal.extractor for signal in heard.signals} == {"x", "human"}
    assert heard.in_force == ("s-f1-human-ann/1",)
    assert names(ledger.answers(Wanted("t", DSAT))[0]) == [], "the label is what is asked about"


def test_one_call_looks_at_so_many_and_says_where_to_go_on(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAGE", 2)
    monkeypatch.setattr(answers, "SCAN", 2)
    _, ledger = filled(bench)
    found, before = ledger.answers(Wanted("t", DSAT, limit=5))
    assert (names(found), bool(before)) == (["x5"], True)
    assert names(ledger.answers(Wanted("t", DSAT, limit=5, before=before))[0]) == ["x3"]


@pytest.mark.parametrize("before", ["x", "12", "-1/e", "1e5/e", "9" * 30 + "/e"])
def test_a_place_that_is_none_is_refused(bench, before: str) -> None:
    with pytest.raises(InvalidArgument):
        bench.ledger().answers(Wanted("t", before=before))


def test_an_answer_that_somebody_floods_comes_with_its_first_reactions_and_their_words_count(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_HEARD", 2)
    log, ledger = filled(bench, 3)
    for n in range(4):
        log.put(bench.said(f"more{n}", "x2", after=10 + n, kind=types.Comment("y" * 100)))
    ledger.project(log)
    (flooded, *_), _ = ledger.answers(Wanted("t"))
    assert ([each.feedback.event_id for each in flooded.feedback], flooded.unheard) == (["f2", "more0"], 3)
    monkeypatch.setattr(answers, "MOST_CHARS", 100)
    found, before = ledger.answers(Wanted("t"))
    assert (names(found), bool(before)) == (["x2"], True)


def test_a_search_asks_once_where_answers_lie_and_walks_them_by_time(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAGE", 2)
    _, ledger = filled(bench)
    asked: list[tuple] = []
    with ledger.store.reading() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
    found, before = ledger.answers(Wanted("t", DSAT))
    assert (names(found), before) == (["x5", "x3", "x1"], "")
    (walked,) = [args for args in asked if "ORDER BY" in args[0]]
    if engine.dialect.name == "sqlite":
        with ledger.store.reading() as connection:
            plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {walked[0]}", walked[1])]
        assert plan[0] == "SCAN interactions USING INDEX interactions_accepted"


def test_who_is_erased_while_somebody_reads_is_left_out(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    log, ledger = filled(bench, 2)
    log.put(bench.answer("x9", after=30.0, user_id="odo"))
    ledger.project(log)
    places = answers._places

    def then_erased(*given):
        found = places(*given)
        log.put(bench.erasure("odo", after=100.0))
        ledger.project(log)
        return found

    monkeypatch.setattr(answers, "_places", then_erased)
    assert names(ledger.answers(Wanted("t"))[0]) == ["x1", "x0"]

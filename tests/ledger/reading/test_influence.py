"""ledger/influence: no person and no caller moves a round by more than the caps (F15, U22)."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from rejoinder.core import types
from rejoinder.ledger.reading.influence import within_caps
from rejoinder.ledger.reading.ready import Piece
from rejoinder.rounds.build import build_pairs
from rejoinder.rounds.pairs.context import Context
from rejoinder.rounds.recipe import of


def piece(name: str, user: str = "", talk: str = "", principal: str = "app", tenant: str = "t") -> Piece:
    said = {"tenant": tenant, "user_id": "", "principal": principal, "kind": "rating"}
    answer = {"user_id": user, "conversation_id": talk, "interaction_id": f"x-{name}"}
    return Piece(name, said, answer, None, None, (), "")


def thumb(bench, name: str, about: str, **fields: object) -> types.Feedback:
    return bench.said(name, about, kind=types.Rating(number=0.0, scale_max=1.0), **fields)


def test_a_person_is_a_user_else_a_conversation_else_an_answer_of_one_tenant(bench) -> None:
    flood = [piece(f"{who}{n}", **fields) for who, fields in _PEOPLE.items() for n in range(9)]
    kept, went = within_caps(flood, bench.settings(evidence_per_user=3))
    assert Counter(p.id[0] for p in kept) == {"u": 3, "o": 3, "c": 3, "n": 9}
    assert went == {"user_cap": 18}


_PEOPLE = {
    "u": {"user": "ann", "talk": "c1"},
    "o": {"user": "ann", "tenant": "other"},
    "c": {"talk": "c1"},
    "n": {},
}


def test_a_caller_who_invents_users_has_a_cap_of_its_own_where_one_is_set(bench) -> None:
    flood = [piece(f"m{n}", user=f"invented-{n}", principal="mallory") for n in range(50)]
    pieces = [*flood, *(piece(f"a{n}", user=f"u{n}") for n in range(5))]
    kept, went = within_caps(pieces, bench.settings(evidence_per_principal=7))
    assert Counter(p.id[0] for p in kept) == {"m": 7, "a": 5}
    assert went == {"principal_cap": 43}
    assert within_caps(pieces, bench.settings()) == (pieces, {})


def test_what_stays_depends_on_the_set_and_the_key_alone(bench) -> None:
    flood = [piece(f"f{n}", user="ann") for n in range(200)]
    settings = bench.settings(evidence_per_user=20)
    kept = {p.id for p in within_caps(flood, settings)[0]}
    rng = random.Random(1)
    for _ in range(5):
        rng.shuffle(flood)
        assert {p.id for p in within_caps(flood, settings)[0]} == kept
    # Whoever picks ids does not pick what stays: the lowest ids have no better chance than any.
    assert len(kept & {f"f{n}" for n in range(20)}) < 10
    other = replace(settings, forgetting=replace(settings.forgetting, key=b"the key of another deployment"))
    assert {p.id for p in within_caps(flood, other)[0]} != kept


def test_f15_what_is_over_the_cap_is_stored_and_counted_and_enters_no_later_window(bench) -> None:
    ledger, log = bench.ledger(bench.settings(evidence_per_user=3)), bench.log()
    for n in range(8):
        log.put(bench.answer(f"x{n}"), part=n % 2)
        log.put(thumb(bench, f"r{n}", f"x{n}"), part=n % 2)
    ledger.project(log)
    first = ledger.window("loop", 1, "assist", ledger.cut())
    log.put(bench.answer("y", after=50.0))
    log.put(thumb(bench, "late", "y", after=60.0))
    ledger.project(log)
    second = ledger.window("loop", 2, "assist", ledger.cut())
    assert first.manifest.counts == {"evidence": 3, "kind.rating": 3, "left_out.erased": 0, "left_out.user_cap": 5}
    assert [p.id for p in second.evidence] == ["late"]
    assert sum(row.stored for row in ledger.parity() if row.topic == "feedback") == 9
    assert ledger.verify_window("loop", 1).ok
    again = bench.ledger(bench.settings(batch=1, evidence_per_user=3))
    again.project(log)
    assert again.window("loop", 1, "assist", first.manifest.cut).manifest == first.manifest


def test_a_finished_window_stays_what_it_was_under_another_cap(bench) -> None:
    where = bench.place()
    ledger, log = bench.again(where, bench.settings(evidence_per_user=3)), bench.log()
    for n in range(8):
        log.put(bench.answer(f"x{n}"))
        log.put(thumb(bench, f"r{n}", f"x{n}"))
    ledger.project(log)
    first = ledger.window("loop", 1, "assist", ledger.cut())
    ledger.close()
    for cap in (8, 1):
        wider = bench.again(where, bench.settings(evidence_per_user=cap))
        same = wider.window("loop", 1, "assist", first.manifest.cut)
        assert (same.manifest, same.evidence) == (first.manifest, first.evidence)
        wider.close()


@pytest.mark.parametrize("bench", ["sqlite"], indirect=True)
def test_f15_ten_thousand_thumbs_down_of_one_user_move_window_pairs_and_report_by_no_more_than_the_cap(bench) -> None:
    """Twenty people like what they got and mend a word of it; one votes on 400 answers 25 times, and rewrites them."""
    people = [f"user-{n}" for n in range(20)]
    answers, said = [], []
    for n, user in enumerate([*people, *["mallory"] * 400]):
        name, bad = f"x{n}", user == "mallory"
        answers.append(bench.answer(name, user_id=user, response=f"It is {n} degrees Fahrenheit in town {n} today."))
        text = f"It is {n} {'nonsense' if bad else 'degrees Celsius'} in town {n} today, number {n * 7919} says."
        said.append(bench.said(f"edit{n}", name, user_id=user, kind=types.Edit(text)))
        said.append(bench.signal(f"r{n}-0", name, "DSAT" if bad else "SAT", user_id=user))
        said += [thumb(bench, f"r{n}-{i}", name, user_id=user, after=10.0 + i) for i in range(25 if bad else 1)]
    log, cap, where = bench.of(*answers, *said), 40, bench.place()
    ledger = bench.again(where, bench.settings(evidence_per_user=cap))
    ledger.project(log)
    window = ledger.window("loop", 1, "assist", ledger.cut())
    theirs = Counter(e.interaction.user_id == "mallory" for e in window.evidence)
    assert theirs == {True: cap, False: 40}
    assert window.manifest.counts["left_out.user_cap"] == 2 * 400 - cap
    recipe = of({"name": "r", "builders": ["edits"]})
    pairs, _ = build_pairs(window.evidence, recipe, Context("assist", "", 1, 0))
    by = Counter(p.user_id == "mallory" for p in pairs)
    assert by[True] <= cap
    assert by[False] == 20
    (row,) = ledger.satisfaction("t")
    assert (row.users, row.dsat) == (21, 400)
    assert row.satisfaction == pytest.approx(20 / 21)
    ledger.close()
    control = bench.again(where, bench.settings(evidence_per_user=None))
    flooded = control.window("without a cap", 1, "assist", control.cut())
    assert Counter(e.interaction.user_id == "mallory" for e in flooded.evidence) == {True: 800, False: 40}

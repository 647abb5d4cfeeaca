"""ledger/windows, cut, view, ready: the evidence between two cuts (F05, F16, U07, U09, U17, U18)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from rejoinder.core import types
from rejoinder.core.errors import ClaimTaken, FailedPrecondition, LogReplaced, WindowExpired
from rejoinder.ledger.intake.projector import Projector
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.reading.windows import Leaving
from rejoinder.ledger.stores.schema import window_rows
from sqlalchemy import update


def ids(window) -> list[str]:
    return [piece.id for piece in window.evidence]


def rating(bench, name: str, about: str, number: float, **fields: object) -> types.Feedback:
    return bench.said(name, about, kind=types.Rating(number=number, scale_max=1.0), **fields)


def test_parked_evidence_enters_the_first_window_in_which_it_is_complete_and_no_other(bench) -> None:
    log, ledger = bench.of(rating(bench, "early", "x1", 1.0), bench.answer("x2"), rating(bench, "r2", "x2", 0.0)), None
    ledger = bench.ledger()
    ledger.project(log)
    first = ledger.window("loop", 1, "assist", ledger.cut())
    log.put(bench.answer("x1"))
    ledger.project(log)
    second = ledger.window("loop", 2, "assist", ledger.cut())
    third = ledger.window("loop", 3, "assist", ledger.cut())
    assert (ids(first), ids(second), ids(third)) == (["r2"], ["early"], [])
    assert first.evidence[0].interaction.response == "answer x2"


def test_words_wait_for_their_signal_and_a_newer_extractor_is_new_evidence_that_supersedes(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1")), bench.ledger()
    ledger.project(log)
    assert ids(ledger.window("loop", 1, "assist", ledger.cut())) == []
    log.put(bench.signal("f1", "x1", "DSAT"))
    ledger.project(log)
    second = ledger.window("loop", 2, "assist", ledger.cut())
    log.put(bench.signal("f1", "x1", "SAT", after=30.0, extractor_version="2"))
    ledger.project(log)
    third = ledger.window("loop", 3, "assist", ledger.cut())
    assert (ids(second), ids(third)) == (["s-f1-x-1"], ["s-f1-x-2"])
    assert third.evidence[0].supersedes == ("s-f1-x-1",)
    assert third.evidence[0].signal.polarity is types.Polarity.SAT


def test_what_a_second_judge_says_is_no_evidence(bench) -> None:
    """Neither a piece of a window nor a reason to tell the first judge's piece again."""
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "DSAT")), bench.ledger()
    ledger.project(log)
    assert ids(ledger.window("loop", 1, "assist", ledger.cut())) == ["s-f1-x-1"]
    log.put(bench.signal("f1", "x1", "SAT", after=30.0, extractor="audit-lexicon"))
    ledger.project(log)
    assert ids(ledger.window("loop", 2, "assist", ledger.cut())) == []


def test_a_correction_names_what_it_supersedes_and_rewrites_no_finished_window(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), rating(bench, "r1", "x1", 1.0)), bench.ledger()
    ledger.project(log)
    first = ledger.window("loop", 1, "assist", ledger.cut())
    log.put(rating(bench, "r2", "x1", 0.0, after=50.0))
    log.put(rating(bench, "r0", "x1", 0.5, after=5.0))
    ledger.project(log)
    second = ledger.window("loop", 2, "assist", ledger.cut())
    assert [(p.id, p.supersedes) for p in second.evidence] == [("r2", ("r0", "r1"))]
    assert second.manifest.counts["left_out.superseded"] == 1
    assert ledger.window("loop", 1, "assist", first.manifest.cut).manifest == first.manifest


def test_a_window_is_the_same_from_a_ledger_that_read_on_as_from_one_that_had_not(bench) -> None:
    rng = random.Random(7)
    events: list[object] = []
    for n in range(30):
        again = rng.randrange(12)
        events.append(bench.answer(f"x{n}", after=n, conversation_id=f"c{n % 5}", turn=n // 5 + 1))
        events.append(rating(bench, f"r{n}", f"x{rng.randrange(40)}", 1.0, after=rng.uniform(0, 60)))
        events.append(bench.said(f"f{n}", "", conversation_id=f"c{n % 5}", turn=rng.randrange(8), after=40 + n))
        events.append(bench.signal(f"f{rng.randrange(30)}", "", after=n, extractor_version=str(n)))
        # A second attempt makes feedback ambiguous that was ready before; a second body displaces one at a lower place.
        events.append(replace(bench.answer(f"x{again}"), event_id=f"again{n}", attempt_id=f"b{n}"))
        events.append(rating(bench, f"r{again}", f"x{again}", 0.0))
    log = bench.log()
    gradual = bench.ledger()
    cuts, then = [], []
    for start in range(0, len(events), 45):
        for event in events[start : start + 45]:
            log.put(event, part=rng.randrange(2))
        gradual.project(log)
        cuts.append(gradual.cut())
        then.append(gradual.window("loop", len(cuts), "assist", cuts[-1]))
    late = bench.ledger()
    late.project(log)
    now = [late.window("loop", number, "assist", cut) for number, cut in enumerate(cuts, 1)]
    assert [window.manifest for window in now] == [window.manifest for window in then]
    assert [ids(window) for window in now] == [ids(window) for window in then]
    everything = [piece for window in then for piece in ids(window)]
    assert len(everything) == len(set(everything)) > 20
    assert all(gradual.verify_window("loop", number).ok for number in range(1, len(cuts) + 1))


def test_a_copy_at_a_lower_place_after_the_cut_does_not_reach_back(bench) -> None:
    log, ledger = bench.log(), bench.ledger()
    first = rating(bench, "r1", "x1", 1.0)
    log.put(bench.answer("x1"))
    log.put(first, part=1)
    ledger.project(log)
    cut = ledger.cut()
    then = ledger.window("loop", 1, "assist", cut)
    log.put(replace(first, accepted_at=first.accepted_at + 5.0), part=0)
    ledger.project(log)
    other = bench.ledger()
    other.project(log)
    assert other.window("loop", 1, "assist", cut).manifest == then.manifest
    assert ids(other.window("loop", 2, "assist", other.cut())) == []


@pytest.mark.parametrize(
    ("cause", "fields", "leaving"),
    [
        ("no_train", {"consent": types.Consent.NO_TRAIN}, Leaving()),
        ("holdout", {}, Leaving("salt", 1.0)),
        ("holdout", {"served": types.Served("assist", "v1", holdout=True)}, Leaving()),
        ("rolled_back", {}, Leaving(rolled_back=frozenset({"v1"}))),
    ],
)
def test_who_stays_out_is_counted(bench, cause: str, fields: dict, leaving: Leaving) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1", **fields), rating(bench, "r1", "x1", 1.0)))
    window = ledger.window("loop", 1, "assist", ledger.cut(), leaving)
    assert ids(window) == []
    assert window.manifest.counts[f"left_out.{cause}"] == 1
    assert ids(ledger.window("control", 1, "assist", ledger.cut())) == (["r1"] if not fields else [])


def test_ambiguous_feedback_is_kept_counted_and_left_out(bench) -> None:
    one = bench.answer("x1")
    ledger = bench.ledger()
    ledger.project(bench.of(one, replace(one, event_id="e2", attempt_id="b"), rating(bench, "r1", "x1", 1.0)))
    window = ledger.window("loop", 1, "assist", ledger.cut())
    assert window.manifest.counts == {"evidence": 0, "left_out.ambiguous_attempt": 1, "left_out.erased": 0}


def test_after_an_erasure_the_manifest_verifies_and_says_how_many_rows_are_gone(bench) -> None:
    log = bench.of(bench.answer("x1"), rating(bench, "r1", "x1", 1.0))
    log.put(bench.answer("y1", user_id="bob"))
    log.put(rating(bench, "r2", "y1", 1.0, user_id="bob"))
    log.put(types.RoundEvent("t", "p1", "assist", 1, "publish", "d", "assist-r0001", bench.now, bench.now))
    ledger = bench.ledger()
    ledger.project(log)
    before = ledger.window("loop", 1, "assist", ledger.cut())
    ticket = ledger.erase("t", "ann", log.append).ticket
    ledger.project(log)
    found = ledger.verify_window("loop", 1)
    assert (found.ok, found.rows, found.redacted) == (True, 2, 1)
    again = ledger.window("loop", 1, "assist", before.manifest.cut)
    assert again.manifest.row_digests == before.manifest.row_digests
    assert ids(again) == ["r2"]
    kinds = {node.kind: node for node in ledger.trace("t", ticket)}
    assert kinds["window"].facts["redacted"] == "1"
    assert kinds["round"].facts["version"] == "assist-r0001"
    assert kinds["version"].id == "assist-r0001"


def test_an_altered_row_does_not_verify(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x1"), rating(bench, "r1", "x1", 1.0)))
    ledger.window("loop", 1, "assist", ledger.cut())
    with ledger.store.writing() as connection:
        connection.execute(update(window_rows).values(row_digest="0" * 64))
    found = ledger.verify_window("loop", 1)
    assert (found.ok, found.digest_holds, found.altered) == (False, False, 1)


def test_a_cut_the_ledger_cannot_serve_is_refused_with_its_reason(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), rating(bench, "r1", "x1", 1.0)), bench.ledger()
    ledger.project(log)
    here = ledger.cut()
    ahead = Cut(here.topic_ids, {"feedback": {0: 99}})
    with pytest.raises(FailedPrecondition, match="up to 1, the cut is at 99"):
        ledger.window("loop", 1, "assist", ahead)
    with pytest.raises(LogReplaced):
        ledger.window("loop", 1, "assist", Cut({"feedback": "another"}, here.ends))
    ledger.window("loop", 1, "assist", here)
    with pytest.raises(ClaimTaken):
        ledger.window("loop", 1, "assist", Cut(here.topic_ids, {"feedback": {0: 1}}))


def test_a_ledger_that_begins_after_the_earlier_cut_says_the_window_is_expired(bench) -> None:
    log = bench.of(bench.answer("x1"), *(rating(bench, f"r{n}", "x1", 1.0, after=n) for n in range(4)))
    ledger = bench.ledger()
    projector = Projector(ledger.store, ledger.settings, bench.clock)
    with ledger.store.writing() as connection:
        projector.apply(connection, log.read("interactions", 0, 0), {"interactions": "interactions"})
        projector.apply(connection, log.read("feedback", 0, 2), {"feedback": "feedback"})
    early = Cut({"feedback": "feedback", "interactions": "interactions"}, {"interactions": {0: 1}, "feedback": {0: 2}})
    ledger.window("fits", 1, "assist", early)
    ledger.window("fits", 2, "assist", ledger.cut())
    gone = Cut(early.topic_ids, {"interactions": {0: 1}, "feedback": {0: 1}})
    ledger.window("loop", 1, "assist", gone)
    with pytest.raises(WindowExpired):
        ledger.window("loop", 2, "assist", ledger.cut())

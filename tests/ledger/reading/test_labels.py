"""ledger/labels: a person's label alone speaks for what it labels, in satisfaction and in the windows to come."""

from __future__ import annotations

from rejoinder.core import types
from rejoinder.core.human import EXTRACTOR
from rejoinder.ledger.reading.labels import in_force


def label(bench, polarity: str, after: float = 40.0, version: str = "ann/1", source: str = "f1", about: str = "x1"):
    return bench.signal(source, about, polarity, after, extractor=EXTRACTOR, extractor_version=version)


def row(name: str, source: str, extractor: str, at: int) -> dict[str, object]:
    return {"event_id": name, "source_event_id": source, "extractor": extractor, "at": at, "accepted_at": at}


def test_the_latest_label_of_an_event_speaks_alone_and_other_events_keep_their_signals() -> None:
    said = [row("a", "f1", "x", 9), row("b", "f1", EXTRACTOR, 1), row("c", "f1", EXTRACTOR, 2), row("d", "f2", "x", 1)]
    assert [signal["event_id"] for signal in in_force(said)] == ["c", "d"]


def test_satisfaction_goes_by_the_label_and_by_extractor_each_keeps_its_own(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "DSAT")), bench.ledger()
    log.put(label(bench, "SAT"))
    ledger.project(log)
    (all_,) = ledger.satisfaction("t")
    assert (all_.sat, all_.dsat) == (1, 0)
    assert {each.group: (each.sat, each.dsat) for each in ledger.satisfaction("t", "extractor")} == {
        "x": (0, 1),
        EXTRACTOR: (1, 0),
    }


def test_a_label_before_the_cut_takes_the_extractors_place_in_the_window(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "DSAT")), bench.ledger()
    log.put(label(bench, "SAT"))
    ledger.project(log)
    window = ledger.window("loop", 1, "assist", ledger.cut())
    assert [(piece.id, piece.signal.polarity, piece.supersedes) for piece in window.evidence] == [
        ("s-f1-human-ann/1", types.Polarity.SAT, ("s-f1-x-1",))
    ]
    assert window.manifest.counts["left_out.superseded"] == 1


def test_a_label_after_a_finished_window_is_new_evidence_and_rewrites_nothing(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), bench.signal("f1", "x1", "SAT")), bench.ledger()
    ledger.project(log)
    first = ledger.window("loop", 1, "assist", ledger.cut())
    log.put(label(bench, "DSAT"))
    ledger.project(log)
    second = ledger.window("loop", 2, "assist", ledger.cut())
    assert [(piece.id, piece.supersedes) for piece in second.evidence] == [("s-f1-human-ann/1", ("s-f1-x-1",))]
    assert ledger.window("loop", 1, "assist", first.manifest.cut).manifest == first.manifest
    log.put(bench.signal("f1", "x1", "SAT", after=60.0, extractor_version="2"))
    ledger.project(log)
    third = ledger.window("loop", 3, "assist", ledger.cut())
    assert third.evidence == [], "an extractor that comes later does not speak over a person"


def test_an_erased_user_s_label_goes_with_them(bench) -> None:
    log, ledger = bench.of(bench.answer("x1"), bench.said("f1", "x1"), label(bench, "SAT")), bench.ledger()
    ledger.project(log)
    log.put(bench.erasure("ann", after=100.0))
    ledger.project(log)
    assert ledger.satisfaction("t") == []

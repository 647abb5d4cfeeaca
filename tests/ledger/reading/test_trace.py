"""ledger/trace: from an answer to its version, that one's round and data set, and the events of its window (U07)."""

from __future__ import annotations

import pytest
from rejoinder.core import types
from rejoinder.ledger.reading import trace

STAGES = {"window": "d-window", "pairs": "d-pairs", "train": "d-train", "export": "d-export"}


def learnt(bench, ratings: int = 3):
    """A ledger whose answer x-later is of a version that a round made from so many ratings."""
    log = bench.of()
    for i in range(ratings):
        log.put(bench.answer(f"x{i}"))
        log.put(bench.said(f"r{i:03d}", f"x{i}", kind=types.Rating(number=1.0, scale_max=1.0)))
    for stage, digest in STAGES.items():
        log.put(types.RoundEvent("t", f"p-{stage}", "assist", 1, stage, digest, "", bench.now, bench.now))
    log.put(types.RoundEvent("t", "p-publish", "assist", 1, "publish", "d", "assist-r0001", bench.now, bench.now))
    log.put(bench.answer("x-later", version="assist-r0001"))
    ledger = bench.ledger()
    ledger.project(log)
    ledger.window("assist", 1, "assist", ledger.cut())
    return ledger


def test_an_answer_leads_to_its_versions_digest_round_and_data_set_and_to_every_event_of_the_window(bench) -> None:
    nodes = learnt(bench).trace("t", "x-later")
    found = {(node.kind, node.id): node for node in nodes}
    version = found["version", "assist-r0001"]
    assert version.digest == "d-export"
    assert version.facts == {"interactions": "1", "round": "assist#1", "dataset_digest": "d-pairs"}
    assert found["round", "assist#1/pairs"].facts["dataset_digest"] == "d-pairs"
    assert "dataset_digest" not in found["round", "assist#1/train"].facts
    window = found["window", "assist#1"]
    assert window.sources == ("r000", "r001", "r002")
    assert "unlisted" not in window.facts


def test_a_version_that_no_round_made_has_no_digest_here(bench) -> None:
    nodes = learnt(bench).trace("t", "x0")
    (version,) = [node for node in nodes if (node.kind, node.id) == ("version", "v1")]
    assert (version.digest, set(version.facts)) == ("", {"interactions"})


def test_events_beyond_the_bound_are_counted(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = learnt(bench, ratings=5)
    monkeypatch.setattr(trace, "MOST", 3)
    (window,) = [node for node in ledger.trace("t", "assist#1") if node.kind == "window"]
    assert window.sources == ("r000", "r001", "r002")
    assert window.facts["unlisted"] == "2"


def test_another_tenant_is_told_of_none_of_these_events(bench) -> None:
    ledger = learnt(bench)
    (window,) = [node for node in ledger.trace("other", "assist#1") if node.kind == "window"]
    assert (window.sources, window.facts["rows"]) == ((), "3")

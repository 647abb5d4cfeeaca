"""registry/claims: one open round per policy, numbers never reused, the first complete stage output wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import ClaimTaken, NotFound
from rejoinder.registry.claims import claim_round, claims, close_round, publish_stage, reported, stage_output
from rejoinder.registry.store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_a_loop_that_comes_back_gets_its_own_open_claim(store: FolderStore) -> None:
    first = claim_round(store, "assist", "loop-a", 1.0)
    assert claim_round(store, "assist", "loop-a", 2.0) == first


def test_another_loop_waits_until_the_claim_is_closed(store: FolderStore) -> None:
    """U13: single flight."""
    first = claim_round(store, "assist", "loop-a", 1.0)
    with pytest.raises(ClaimTaken):
        claim_round(store, "assist", "loop-b", 2.0)
    close_round(store, first, "refused", 3.0)
    assert claim_round(store, "assist", "loop-b", 4.0).number == 2


def test_an_abandoned_number_is_never_used_again(store: FolderStore) -> None:
    first = claim_round(store, "assist", "loop-a", 1.0)
    close_round(store, first, "abandoned", 2.0)
    claim_round(store, "assist", "loop-a", 3.0)
    assert [(c.number, c.outcome) for c in claims(store, "assist")] == [(1, "abandoned"), (2, "")]


def test_a_number_whose_claim_was_never_written_is_nobodys(store: FolderStore, tmp_path: Path) -> None:
    """Killed between the folder and the claim: the number is free, and nobody is held up."""
    first = claim_round(store, "assist", "loop-a", 1.0)
    close_round(store, first, "refused", 2.0)
    (tmp_path / "rounds" / "assist" / "000002").mkdir()
    assert [c.number for c in claims(store, "assist")] == [1]
    assert claim_round(store, "assist", "loop-b", 3.0).number == 2
    assert [c.number for c in claims(store, "assist")] == [1, 2]


def test_a_round_ends_once(store: FolderStore) -> None:
    claim = claim_round(store, "assist", "loop-a", 1.0)
    close_round(store, claim, "published", 2.0)
    with pytest.raises(ClaimTaken):
        close_round(store, claim, "refused", 3.0)


def test_the_second_runner_of_a_stage_takes_over_the_first_output(store: FolderStore) -> None:
    assert stage_output(store, "k") is None
    assert publish_stage(store, "k", {"digest": "one"}) == {"digest": "one"}
    assert publish_stage(store, "k", {"digest": "two"}) == {"digest": "one"}
    assert stage_output(store, "k") == {"digest": "one"}


def test_a_closed_rounds_report_holds_the_outputs_that_are_still_there(store: FolderStore) -> None:
    claim = claim_round(store, "assist", "loop-a", 1.0)
    publish_stage(store, "k", {"pairs": 7})
    facts = {"version": "v", "reasons": ["kl:fail"], "stages": {"pairs": "k", "train": "gone"}}
    close_round(store, claim, "refused", 2.0, facts)
    ended = {"outcome": "refused", "at": 2.0, "version": "v", "reasons": ["kl:fail"]}
    assert reported(store, "assist", 1) == {**ended, "stages": {"pairs": {"pairs": 7}}}
    with pytest.raises(NotFound):
        reported(store, "assist", 2)

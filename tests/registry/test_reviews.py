"""registry/reviews: the latest word about a pair holds; a rejected one is gone, an accepted one is doubted less."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import UnknownRow
from rejoinder.core.types import Candidate, Message, Preference, Role
from rejoinder.registry.reviews import ACCEPTED, REJECTED, Review, pair_digest, record, reviewed, reviews
from rejoinder.registry.store import FolderStore


def pair(name: str, tenant: str = "default", flip: float = 0.3) -> Preference:
    sides = (Candidate("good"), Candidate("bad"))
    return Preference(name, (Message(Role.USER, "q"),), sides, flip_probability=flip, tenant=tenant)


def test_the_latest_word_holds_and_two_tenants_pairs_of_one_name_are_two(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    mine, theirs = pair_digest(pair("p")), pair_digest(pair("p", "other"))
    for at, verdict in ((1.0, REJECTED), (3.0, ACCEPTED), (2.0, REJECTED)):
        record(store, "assist", Review(mine, verdict, "ann", at))
    assert mine != theirs
    assert {digest: review.verdict for digest, review in reviews(store, "assist").items()} == {mine: ACCEPTED}
    assert reviews(store, "another") == {}


def test_what_was_rejected_goes_and_an_accepted_pair_is_doubted_less() -> None:
    pairs = [pair("kept"), pair("gone"), pair("trusted")]
    verdicts = {pair_digest(pairs[1]): REJECTED, pair_digest(pairs[2]): ACCEPTED}
    left = reviewed(pairs, verdicts)
    assert [each.id for each in left] == ["kept", "trusted"]
    assert left[0].flip_probability == 0.3
    # By hand: .3 × 1/6 against .7 × 5/6.
    assert left[1].flip_probability == pytest.approx(0.05 / (0.05 + 0.7 * 5 / 6))


def test_a_verdict_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownRow):
        record(FolderStore(tmp_path), "assist", Review("d", "maybe", "ann", 1.0))

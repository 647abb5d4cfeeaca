"""console/pages/pairs: a tenant's own pairs, page by page, and a person's word about one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.registry import datasets
from rejoinder.registry.claims import claim_round, close_round
from rejoinder.registry.reviews import pair_digest, reviews

from tests.console.world import HOSTILE, World, text_of
from tests.registry.test_reviews import pair


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    claim = claim_round(made.files.store, "assist", "loop", 5.0)
    close_round(made.files.store, claim, "refused", 6.0, {"version": "", "reasons": ["pairs:12"], "stages": {}})
    folder = tmp_path / "rounds" / "assist" / "000001" / "pairs-abc"
    folder.parent.mkdir(parents=True)
    hostile = pair("p0")
    hostile = replace(hostile, candidates=(replace(hostile.candidates[0], response=HOSTILE), hostile.candidates[1]))
    pairs = [hostile, *(pair(f"p{n}") for n in range(1, 12)), pair("theirs", "second")]
    datasets.write(folder, "pairs", pairs, b"salt", {}, {}, 1.0)
    return made


async def test_pairs_are_shown_by_tenant_and_page_as_text(world: World) -> None:
    admin = world.visitor("admin-token")
    first, second = [(await admin.get(f"/pairs?page={n}")).text for n in (1, 2)]
    assert (first.count("<article"), second.count("<article")) == (10, 2)
    assert HOSTILE in text_of(first)
    assert "<script>alert" not in first
    theirs = (await world.visitor("auditor-token").get("/pairs?tenant=second")).text
    assert theirs.count("<article") == 1
    assert 'action="/review"' not in theirs


async def test_a_word_about_a_pair_is_kept_and_shown(world: World) -> None:
    admin, digest = world.visitor("admin-token"), pair_digest(pair("p3"))
    form = {"round": "1", "side": "pairs", "pair": digest, "verdict": "rejected"}
    assert (await admin.post("/review", data=form)).status_code == 303
    (review,) = reviews(world.files.store, "assist").values()
    assert (review.pair, review.verdict, review.by) == (digest, "rejected", "ann")
    assert "rejected by ann" in text_of((await admin.get("/pairs")).text)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"verdict": "maybe"}, 400),
        ({"side": "../../etc"}, 400),
        ({"round": "7"}, 404),
        ({"round": "../1"}, 404),
        ({"pair": "0" * 64}, 404),
        ({"pair": pair_digest(pair("theirs", "second"))}, 404),
    ],
)
async def test_a_word_about_what_is_not_there_is_refused(world: World, changes: dict[str, str], status: int) -> None:
    form = {"round": "1", "side": "pairs", "pair": pair_digest(pair("p3")), "verdict": "accepted"}
    assert (await world.visitor("admin-token").post("/review", data=form | changes)).status_code == status
    assert reviews(world.files.store, "assist") == {}


async def test_a_round_is_shown_with_its_pairs_beside_another_s(world: World) -> None:
    page = (await world.visitor("app-token").get("/rounds/1")).text
    assert "pairs:12" in text_of(page)
    assert "builder" in page
    for path in ("/rounds/2", "/rounds/x", "/rounds/..%2f1", "/rounds/1e3"):
        assert (await world.visitor("app-token").get(path)).status_code == 404

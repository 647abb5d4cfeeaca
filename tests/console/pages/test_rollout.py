"""console/pages/rollout: a signature where one is waited for, on the table that was looked at, and an end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.clients.rollouts import Shadow, ShadowVeto

from tests.console.world import World, text_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_verdict_is_drawn_and_told_in_numbers(world: World) -> None:
    page = (await world.visitor("app-token").get("/rollout")).text
    assert 'class="band"' in page
    assert "from −100.0 to +100.0 at the first look, from −10.0 to +20.0 at the last" in text_of(page)
    assert 'action="/approve"' not in page, "an application may look"
    assert "As of 1970-01-01 00:16:40 UTC" in text_of(page), "whoever is signed out meanwhile sees that nothing moves"


async def test_a_signature_is_given_once_it_is_waited_for(world: World) -> None:
    admin = world.visitor("admin-token")
    assert 'action="/approve"' in (await admin.get("/rollout")).text
    assert (await admin.post("/approve", data={"generation": "7"})).status_code == 303
    world.rollouts.rollout = replace(world.rollouts.rollout, held="", phase="canary")
    assert 'action="/approve"' not in (await admin.get("/rollout")).text
    assert (await admin.post("/approve", data={"generation": "7"})).status_code == 400, "never over the verdict"
    assert world.rollouts.done == ["promote"]


@pytest.mark.parametrize(
    ("generation", "status"), [("6", 409), ("", 400), ("-7", 400), ("seven", 400), ("7" * 30, 400)]
)
async def test_a_decision_on_another_table_is_refused(world: World, generation: str, status: int) -> None:
    for path in ("/approve", "/abort"):
        answered = await world.visitor("admin-token").post(path, data={"generation": generation})
        assert answered.status_code == status
    assert world.rollouts.done == []


async def test_what_was_scored_in_the_shadow_is_seen(world: World) -> None:
    failures = ShadowVeto("failures", 900.0, 200.0, True, 1040, 2, 77)
    shadow = Shadow(1000.0, 2800.0, 1040, 50, (failures,), 6)
    assert "Shadow:" not in text_of((await world.visitor("app-token").get("/rollout")).text)
    world.rollouts.rollout = replace(world.rollouts.rollout, phase="aborted", reason="shadow:failures", shadow=shadow)
    page = text_of((await world.visitor("app-token").get("/rollout")).text)
    for words in ("shadow:failures", "1\u202f040 pairs of at least 50, 6 dropped", "fired"):
        assert words in page


async def test_an_ended_rollout_can_be_ended_no_more(world: World) -> None:
    world.rollouts.rollout = replace(world.rollouts.rollout, held="", phase="aborted", reason="abort")
    assert 'action="/abort"' not in (await world.visitor("admin-token").get("/rollout")).text

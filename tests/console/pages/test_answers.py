"""console/pages/answers: a person's label goes out as it was meant, once, and is seen before the page comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core.types import Edit, Polarity

from tests.console.world import World, answer, text_of

SAID = "No, I asked for Celsius."
FORM = {
    "interaction": "i1",
    "source": "f-i1",
    "polarity": "dsat",
    "reason": "revision",
    "words": "celsius",
    "name": "n",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.ledger.known = [answer("i1", SAID), answer("i2", SAID, tenant="second")]
    return made


async def test_a_label_names_event_attempt_user_and_the_place_of_the_words(world: World) -> None:
    admin = world.visitor("admin-token")
    answered = await admin.post("/label", data=FORM)
    assert (answered.status_code, answered.headers["location"]) == (303, "/answers/i1?done=label")
    (label,) = world.feedback.labels
    assert (label.source_event_id, label.attempt_id, label.user_id, label.event_id) == ("f-i1", "a-i1", "u", "n")
    assert label.polarity is Polarity.DSAT
    (reason,) = label.reasons
    assert (reason.rubric, SAID[reason.start : reason.end]) == ("revision", "Celsius")
    page = text_of((await admin.get("/answers/i1?done=label")).text)
    assert "human (ann)" in page
    assert "What else was concluded" in page


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"polarity": "maybe"}, 400),
        ({"polarity": "all"}, 400),
        ({"reason": "gratitude"}, 400),
        ({"reason": "<script>"}, 400),
        ({"reason": ""}, 400),
        ({"words": "kelvin"}, 400),
        ({"source": "f-of-nobody"}, 404),
        ({"interaction": "i2", "source": "f-i2"}, 404),
        ({"interaction": ""}, 404),
    ],
)
async def test_a_label_that_does_not_fit_is_refused(world: World, changes: dict[str, str], status: int) -> None:
    answered = await world.visitor("admin-token").post("/label", data=FORM | changes)
    assert answered.status_code == status
    assert world.feedback.labels == []


async def test_only_words_are_labelled(world: World) -> None:
    known = world.ledger.known[0]
    heard = known.feedback[0]
    edited = replace(heard, feedback=replace(heard.feedback, kind=Edit("rewritten")))
    world.ledger.known[0] = replace(known, feedback=(edited,))
    assert (await world.visitor("admin-token").post("/label", data=FORM)).status_code == 400
    assert "Correct this label" not in (await world.visitor("admin-token").get("/answers/i1")).text


async def test_an_auditor_reads_and_is_offered_no_form(world: World) -> None:
    page = (await world.visitor("auditor-token").get("/answers/i1")).text
    assert SAID[:8] in text_of(page)
    assert 'action="/label"' not in page

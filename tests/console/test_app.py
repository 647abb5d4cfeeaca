"""console/app: every page with its roles, what surrounds them, and users' words as text."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import pytest
from rejoinder.clients.ledger import Look
from rejoinder.console.app import POLICY
from rejoinder.core.ids import subject_of

from tests.console.world import HOSTILE, KEY, World, answer, text_of

READ = ("/", "/satisfaction", "/rollout", "/rounds")
WORDS = ("/answers", "/answers/i1", "/pairs", "/trace", "/looks")
ACTS = ("/label", "/review", "/approve", "/abort")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("path", [*READ, *WORDS])
async def test_a_page_is_shown_to_its_roles_alone(world: World, path: str) -> None:
    expected = {"admin-token": 200, "auditor-token": 200, "app-token": 200 if path in READ else 403}
    for token, status in expected.items():
        assert (await world.visitor(token).get(path)).status_code == status, token
    stranger = await world.visitor().get(path)
    assert stranger.status_code == 401
    assert 'action="/sign-in"' in stranger.text
    assert f'value="{path}"' in stranger.text, "whoever signs in gets where they wanted"
    assert (await world.visitor("guessed").get(path)).status_code == 401


@pytest.mark.parametrize("path", ACTS)
async def test_only_an_admin_changes_anything(world: World, path: str) -> None:
    for token in ("auditor-token", "app-token"):
        answered = await world.visitor(token).post(path, data={"generation": "7"})
        assert answered.status_code == 403
    assert (world.rollouts.done, world.feedback.labels) == ([], [])


@pytest.mark.parametrize("path", [*READ, *WORDS, "/nowhere", "/static/console.css", "/healthz"])
async def test_every_response_carries_the_policy_and_nothing_is_inline(world: World, path: str) -> None:
    answered = await world.visitor("admin-token").get(path)
    assert answered.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert answered.headers["cache-control"] == ("public, max-age=300" if "static" in path else "no-store")
    if "static" not in path:
        assert not re.search(r"<script(?![^>]*\ssrc=)|<[^>]*\s(style|on[a-z]+)=", answered.text)


async def test_what_a_user_said_is_text_wherever_it_stands(world: World) -> None:
    for path in ("/answers", "/answers/i1"):
        page = (await world.visitor("admin-token").get(path)).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "49" not in text_of(page), "nothing of it is a template"
        for words in (f"asked {HOSTILE}", f"answered {HOSTILE}"):
            assert words in text_of(page)
        assert "&lt;script" in page
    assert "v<1>" in text_of((await world.visitor("admin-token").get("/")).text)


async def test_what_a_visitor_types_is_text_too(world: World) -> None:
    for path in ("/trace?id=", "/answers?version=", "/answers?says=", "/satisfaction?by=", "/pairs?done="):
        page = (await world.visitor("admin-token").get(path + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).text
        assert "<script>alert" not in page


async def test_each_look_at_words_is_recorded_and_without_its_record_nothing_is_shown(
    world: World, tmp_path: Path
) -> None:
    world.ledger.known = [answer("i1"), answer("i2")]
    auditor = world.visitor("auditor-token")
    await auditor.get("/answers?says=all")
    await auditor.get("/answers/i2")
    lines = [json.loads(line) for line in (tmp_path / "looks.jsonl").read_text().splitlines()]
    assert [(line["principal"], line["by"], line["what"], line["count"]) for line in lines] == [
        ("odo", "console", "answers", 2),
        ("odo", "console", "answer", 1),
    ]
    assert [line["users"] for line in lines] == [[subject_of(KEY, "default", "u")]] * 2
    assert [look.what for look in await world.looks.last(9, "default", id="i1")] == ["answers"]
    assert '"i1"' not in (tmp_path / "looks.jsonl").read_text(), "an erased user's answer is named by nothing"
    assert "alert" not in (tmp_path / "looks.jsonl").read_text()
    assert "odo" in text_of((await auditor.get("/looks")).text)
    assert "answers" not in text_of((await auditor.get("/looks?id=nobody-saw-it")).text.partition("<tbody>")[2])
    (tmp_path / "looks.jsonl").unlink()
    (tmp_path / "looks.jsonl").mkdir()
    refused = await auditor.get("/answers")
    assert refused.status_code == 503
    assert "answered" not in refused.text


async def test_looks_are_those_of_the_console_and_those_that_the_ledger_tells_each_once(world: World) -> None:
    auditor = world.visitor("auditor-token")
    await auditor.get("/answers/i1")
    (own,) = await world.looks.last(9, "default")
    elsewhere = Look(own.at + 1, "os:ann", "*", "export", "cli", 214, (), ("*",))
    reader = Look(own.at + 2, "signals", "*", "evidence", "ledger", None, (), ("*",))
    world.ledger.given = (reader, elsewhere, Look(**vars(own)))
    rows = [text_of(row) for row in (await auditor.get("/looks")).text.partition("<tbody>")[2].split("</tr>")][:-1]
    for row, words in zip(
        rows, (("signals", "ledger", "–"), ("os:ann", "cli", "214"), ("odo", "console")), strict=True
    ):
        assert all(word in row for word in words), row
    world.ledger.away = True
    page = text_of((await auditor.get("/looks")).text)
    assert "cannot be shown now: UNAVAILABLE" in page
    assert "odo" in page


async def test_with_the_ledger_away_the_rest_is_shown_and_nobody_signs(world: World) -> None:
    world.ledger.away = True
    admin = world.visitor("admin-token")
    overview = await admin.get("/")
    assert overview.status_code == 200
    assert "cannot be shown" in text_of(overview.text)
    assert "v2" in text_of(overview.text), "the rollout is still there"
    words = await admin.get("/answers")
    assert (words.status_code, "nothing is lost" in text_of(words.text)) == (503, True)
    rollout = (await admin.get("/rollout")).text
    assert 'action="/approve"' not in rollout
    assert 'action="/abort"' in rollout, "the way back to safety stays"
    assert (await admin.post("/approve", data={"generation": "7"})).status_code == 503
    assert world.rollouts.done == []


async def test_the_visitor_s_own_token_is_what_the_services_are_asked_with(world: World) -> None:
    await world.visitor("auditor-token").get("/satisfaction")
    visitor = await world.signed_in("admin-token")
    await visitor.get("/satisfaction")
    assert world.ledger.tokens == ["auditor-token", "admin-token"]


async def test_files_are_the_ones_that_are_there_and_htmx_is_the_one_that_was_vendored(world: World) -> None:
    visitor = world.visitor()
    for name in ("VENDORED.md", "..%2f__init__.py", "nothing.js"):
        assert (await visitor.get(f"/static/{name}")).status_code == 404
    got = await visitor.get("/static/htmx.min.js")
    kept = (resources.files("rejoinder.console") / "static" / "VENDORED.md").read_text("utf-8")
    assert hashlib.sha256(got.content).hexdigest() in kept
    again = await visitor.get("/static/htmx.min.js", headers={"if-none-match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_an_unforeseen_error_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*asked: object) -> None:
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr(world.ledger, "answers", broken)
    answered = await world.visitor("admin-token").get("/answers")
    assert answered.status_code == 500
    assert "onerror" not in answered.text
    assert "internal error" in answered.text

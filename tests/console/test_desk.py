"""console/desk: signing in and out, whose tenant, and forms that only this console's pages can send."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.runtime.settings import JwtSettings, RateSettings

from tests.console.world import PRINCIPALS, World, answer, form_in
from tests.runtime.issuer import AUDIENCE, ISSUER, RSA_TWO, claims, jwks_file, signed

GOOD = {"generation": "7"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_signing_in_sets_a_cookie_that_no_script_reads_and_leads_where_one_wanted(world: World) -> None:
    visitor = world.visitor()
    answered = await visitor.post("/sign-in", data={"token": " admin-token ", "next": "/rounds?x=1"})
    assert (answered.status_code, answered.headers["location"]) == (303, "/rounds?x=1")
    cookie = answered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "admin-token" not in cookie
    assert (await visitor.get("/rounds")).status_code == 200


@pytest.mark.parametrize("onward", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/\n"])
async def test_signing_in_leads_nowhere_else(world: World, onward: str) -> None:
    answered = await world.visitor().post("/sign-in", data={"token": "admin-token", "next": onward})
    assert answered.headers["location"] == "/"


async def test_a_wrong_token_signs_nobody_in(world: World) -> None:
    visitor = world.visitor()
    answered = await visitor.post("/sign-in", data={"token": "guessed"})
    assert answered.status_code == 401
    assert "set-cookie" not in answered.headers
    assert "guessed" not in answered.text


async def test_a_session_ends_with_its_token_and_by_signing_out(world: World) -> None:
    one, other = await world.signed_in("admin-token"), await world.signed_in("auditor-token")
    world.principals.write_text(PRINCIPALS.replace("auditor-token", "another-token"))
    assert (await other.get("/")).status_code == 401, "withdrawn"
    page = (await one.get("/")).text
    kept = dict(one.cookies)
    await one.post("/sign-out", data={"form": form_in(page)})
    again = world.visitor()
    again.cookies.update(kept)
    assert (await again.get("/")).status_code == 401, "a cookie that was copied is worth nothing any more"


async def test_visitors_are_limited_by_name_and_whoever_signs_in_by_address(tmp_path: Path) -> None:
    world = World(tmp_path, rate=RateSettings(principal_per_s=0.5, address_per_s=0.5, burst_s=2 * 2))
    ann, odo = await world.signed_in("admin-token"), await world.signed_in("auditor-token")
    assert (await world.visitor().post("/sign-in", data={"token": "guessed"})).status_code == 429
    assert [(await ann.get("/rounds")).status_code for _ in range(3)] == [200, 200, 429]
    again = await world.visitor("admin-token").get("/rounds")
    assert (again.status_code, again.headers["retry-after"]) == (429, "2"), "a program with the same token"
    assert "RATE_LIMIT_EXCEEDED" in again.text
    assert (await odo.get("/rounds")).status_code == 200
    world.clock.advance(2.0)
    assert (await ann.get("/rounds")).status_code == 200


async def test_a_token_of_an_issuer_signs_in_and_its_session_ends_with_it(tmp_path: Path) -> None:
    jwt = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=str(jwks_file(tmp_path)))
    world = World(tmp_path, jwt=jwt)
    good = claims(world.clock.now(), roles=["auditor"])
    visitor = await world.signed_in(signed(good))
    assert (await (await world.signed_in("admin-token")).get("/")).status_code == 200
    refused = await world.visitor().post("/sign-in", data={"token": signed(good, RSA_TWO)})
    assert (refused.status_code, refused.headers.get("set-cookie")) == (401, None)
    world.clock.advance(500)
    assert (await visitor.get("/")).status_code == 200
    world.clock.advance(131)
    assert (await visitor.get("/")).status_code == 401


async def test_a_name_that_a_visitor_brought_along_never_becomes_a_session(world: World) -> None:
    visitor = world.visitor()
    visitor.cookies.set("rejoinder_console", "chosen-by-somebody")
    await visitor.post("/sign-in", data={"token": "admin-token"})
    thief = world.visitor()
    thief.cookies.set("rejoinder_console", "chosen-by-somebody")
    assert (await thief.get("/")).status_code == 401


async def test_a_form_needs_the_token_of_its_own_session(world: World) -> None:
    ann, odo = await world.signed_in("admin-token"), await world.signed_in("auditor-token")
    mine, other = form_in((await ann.get("/")).text), form_in((await odo.get("/")).text)
    for given in ({}, {"form": ""}, {"form": other}, {"form": mine[:-1]}):
        assert (await ann.post("/abort", data={**GOOD, **given})).status_code == 403
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answered = await ann.post("/abort", data={**GOOD, "form": mine}, headers=headers)
        assert answered.status_code == 403
    assert world.rollouts.done == []
    own = {"origin": "http://127.0.0.1:8090", "sec-fetch-site": "same-origin"}
    assert (await ann.post("/abort", data={**GOOD, "form": mine}, headers=own)).status_code == 303
    assert world.rollouts.done == ["abort"]


async def test_what_changes_something_is_no_link_and_no_json(world: World) -> None:
    admin = world.visitor("admin-token")
    for path in ("/abort?generation=7", "/label", "/sign-out"):
        assert (await admin.get(path)).status_code == 405
    assert (await admin.post("/abort", json=GOOD)).status_code == 415
    assert world.rollouts.done == []


async def test_a_tenant_is_chosen_among_one_s_own(world: World) -> None:
    auditor = world.visitor("auditor-token")
    assert (await auditor.get("/answers?tenant=second")).status_code == 200
    assert (await auditor.get("/answers?tenant=third")).status_code == 403
    assert (await world.visitor("admin-token").get("/answers/i1?tenant=second")).status_code == 403
    signed = await world.signed_in("auditor-token")
    form = form_in((await signed.get("/")).text)
    assert (await signed.post("/tenant", data={"form": form, "tenant": "third"})).status_code == 403
    await signed.post("/tenant", data={"form": form, "tenant": "second"})
    page = (await signed.get("/")).text
    assert "<option selected>second</option>" in page
    assert (await signed.get("/answers/i1")).status_code == 404, "the first tenant's"


async def test_where_nobody_signs_in_only_our_own_name_and_our_own_forms_count(tmp_path: Path) -> None:
    world = World(tmp_path, secured=False)
    for host in ("127.0.0.1:8090", "localhost:8090", "[::1]:8090", "console.example"):
        assert (await world.visitor(host=host).get("/")).status_code == 200
    rebound = world.visitor(host="evil.example:8090")
    assert (await rebound.get("/answers")).status_code == 403
    assert (await rebound.get("/answers", headers={"authorization": "Bearer x"})).status_code == 403
    visitor = world.visitor()
    assert (await visitor.post("/abort", data=GOOD)).status_code == 403
    form = form_in((await visitor.get("/")).text)
    assert (await visitor.post("/abort", data={**GOOD, "form": form})).status_code == 303
    assert (await world.visitor().post("/abort", data={**GOOD, "form": form})).status_code == 403
    assert world.rollouts.done == ["abort"]


async def test_a_form_without_end_is_refused(world: World) -> None:
    admin = world.visitor("admin-token")
    many = "&".join(f"f{n}=1" for n in range(100))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await admin.post("/abort", content=many, headers=headers)).status_code == 400
    assert (await admin.post("/abort", content="a=" + "x" * 70_000, headers=headers)).status_code == 413
    assert (await admin.post("/abort", content=b"a=%ff\xfe", headers=headers)).status_code == 400


async def test_a_page_that_loads_itself_anew_keeps_nobody_signed_in(world: World) -> None:
    ann = await world.signed_in("admin-token")
    for _ in range(3):
        world.clock.advance(250.0)
        await ann.get("/rollout", headers={"hx-request": "true"})
    assert (await ann.get("/")).status_code == 401


async def test_signing_in_again_ends_the_session_before_it(world: World) -> None:
    visitor = await world.signed_in("admin-token")
    before = dict(visitor.cookies)
    await visitor.post("/sign-in", data={"token": "auditor-token"})
    thief = world.visitor()
    thief.cookies.update(before)
    assert (await thief.get("/")).status_code == 401


async def test_what_is_encoded_in_a_path_is_no_query_and_hides_none(world: World) -> None:
    auditor = world.visitor("auditor-token")
    assert (await auditor.get("/answers/i1%3Ftenant=third")).status_code == 404, "an id, not a tenant"
    assert (await auditor.get("/answers/i%231?tenant=third")).status_code == 403
    page = (await world.visitor().get("/answers/i%231%3F?says=all")).text
    assert 'name="next" value="/answers/i%231%3F?says=all"' in page


async def test_a_tenant_of_the_address_stays_and_a_form_is_of_the_tenant_it_was_shown_at(world: World) -> None:
    world.ledger.known = [answer("i1"), answer("i1", tenant="sécond; x")]
    ann = await world.signed_in("every-token")
    page = (await ann.get("/answers/i1", params={"tenant": "sécond; x"})).text
    assert 'name="tenant" value="sécond; x"' in page
    assert (await ann.get("/answers/i1")).text.count("sécond; x") > 0, "kept"
    await ann.post("/tenant", data={"form": form_in(page), "tenant": "default"})
    form = {"form": form_in(page), "interaction": "i1", "source": "f-i1", "polarity": "sat", "tenant": "sécond; x"}
    answered = await ann.post("/label", data=form)
    assert [label.tenant for label in world.feedback.labels] == ["sécond; x"]
    assert (await ann.get(answered.headers["location"])).status_code == 200


async def test_another_page_can_lead_here_but_not_hold_a_look(tmp_path: Path) -> None:
    world = World(tmp_path, secured=False)
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    for dest in ("image", "iframe", "empty"):
        answered = await world.visitor().get("/answers?says=all", headers={**foreign, "sec-fetch-dest": dest})
        assert answered.status_code == 403
    assert await world.looks.last(9) == []
    assert (await world.visitor().get("/", headers={**foreign, "sec-fetch-dest": "document"})).status_code == 200

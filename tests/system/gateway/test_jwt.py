"""The gateway's process with an issuer whose keys are a mounted file: tokens over HTTP, their refusals, a rotation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.chaos.harness import wait_until
from tests.runtime.issuer import AUDIENCE, ISSUER, RSA_ONE, RSA_TWO, claims, jwk, jwks, jwks_file, signed
from tests.system.gateway.upstream import Upstream
from tests.system.gateway.world import World

pytestmark = pytest.mark.system

PRINCIPALS = "- {principal: old, token: static-token, roles: [app], tenants: [other]}\n"


@pytest.fixture(scope="module")
def guarded(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("issued")
    (folder / "principals.yaml").write_text(PRINCIPALS)
    settings = {
        "SERVER__AUTH__FILE": str(folder / "principals.yaml"),
        "SERVER__AUTH__JWT__ISSUER": ISSUER,
        "SERVER__AUTH__JWT__AUDIENCE": AUDIENCE,
        "SERVER__AUTH__JWT__JWKS": str(jwks_file(folder)),
    }
    made = World(folder, upstream, settings)
    try:
        yield made.start()
    finally:
        made.close()


def asked(world: World, token: str) -> httpx.Response:
    body = {"model": "assist", "messages": [{"role": "user", "content": "70 °F in Celsius?"}]}
    headers = {"authorization": f"Bearer {token}"}
    return httpx.post(f"{world.url}/chat/completions", json=body, headers=headers, timeout=60, trust_env=False)


def test_a_token_of_the_issuer_asks_beside_a_static_one(guarded: World) -> None:
    good = signed(claims(time.time(), tenants=["acme"]))
    assert [asked(guarded, token).status_code for token in (good, "static-token")] == [200, 200]
    wait_until(lambda: len(guarded.interactions()) == 2, "their records")
    assert {(i.principal, i.tenant) for i in guarded.interactions()} == {("chat", "acme"), ("old", "other")}


def test_a_bad_token_is_401_with_its_scheme_and_nothing_of_it_is_said(guarded: World) -> None:
    now = time.time()
    bad = {
        "expired": signed(claims(now - 3600)),
        "audience": signed(claims(now, aud="billing")),
        "signature": signed(claims(now), RSA_TWO),
        "issuer's": signed(claims(now), RSA_TWO, "rsa-9"),
        "roles": signed(claims(now, roles=["root"])),
        "too long": signed(claims(now, x="y" * 9000)),
        "JWT": "a..c",
    }
    for word, token in bad.items():
        response = asked(guarded, token)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        message = response.json()["error"]["message"]
        assert word in message
        assert not any(part in message for part in token.split(".") if len(part) > 1)
    refused = asked(guarded, signed(claims(now, roles=["auditor"])))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_missing")


def test_a_key_that_is_put_in_the_file_is_known_and_one_taken_out_is_not(guarded: World) -> None:
    file: Path = guarded.folder / "jwks.json"
    before = file.read_bytes()
    old, new = signed(claims(time.time())), signed(claims(time.time()), RSA_TWO, "rsa-2")
    assert [asked(guarded, token).status_code for token in (old, new)] == [200, 401]
    file.write_bytes(jwks(jwk(RSA_ONE, "rsa-1"), jwk(RSA_TWO, "rsa-2")))
    assert [asked(guarded, token).status_code for token in (old, new)] == [200, 200]
    file.write_bytes(jwks(jwk(RSA_TWO, "rsa-2")))
    assert [asked(guarded, token).status_code for token in (old, new)] == [401, 200]
    file.write_bytes(before)

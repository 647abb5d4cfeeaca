"""Callers with an issuer's tokens at a real server: what they may, what they are told, keys that change under it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from rejoinder.clients import AsyncFeedbackClient, Connection
from rejoinder.core import errors
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import Feedback, FollowUp
from rejoinder.runtime.settings import AuthSettings, JwtSettings, ServerSettings

from tests.runtime.issuer import (
    AUDIENCE,
    EC_ONE,
    ISSUER,
    NOW,
    RSA_ONE,
    RSA_TWO,
    JwksServer,
    claims,
    jwk,
    jwks,
    signed,
)
from tests.system.ingest.serving import Running, running

pytestmark = pytest.mark.system

_RECORD = "/rejoinder.v1.FeedbackService/RecordFeedback"
#: Found nowhere but in a token.
SECRET = "walrus-in-the-fjord"


@pytest.fixture
def keys() -> Iterator[JwksServer]:
    with JwksServer() as made:
        yield made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def server(keys: JwksServer, clock: ManualClock) -> AsyncIterator[Running]:
    jwt = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=keys.url, refresh_s=3600.0, timeout_s=60.0)
    async with running(server=ServerSettings(grace_s=1.0, auth=AuthSettings(jwt=jwt)), clock=clock) as made:
        yield made


async def asked(server: Running, token: str, tenant: str = "", tries: int = 1) -> str:
    """The class of what is answered, "" where the item was recorded."""
    async with AsyncFeedbackClient(Connection(server.target, token=token, tries=tries, deadline_s=60.0)) as client:
        try:
            (result,) = await client.record_feedback(
                [Feedback(interaction_id="i", kind=FollowUp("no, in Celsius please"), tenant=tenant)]
            )
            assert result.recorded
            return ""
        except RejoinderError as error:
            return type(error).__name__


async def test_a_token_is_taken_for_its_roles_and_its_tenants(server: Running) -> None:
    assert await asked(server, signed(claims())) == ""
    assert await asked(server, signed(claims(tenants=["acme"])), "acme") == ""
    assert await asked(server, signed(claims(tenants=["acme"]), EC_ONE, "ec-1"), "globex") == "ForeignTenant"
    assert await asked(server, signed(claims(tenants=["acme"]))) == "ForeignTenant"
    assert await asked(server, signed(claims(roles=["auditor"]))) == "RoleMissing"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "walrus",
        signed(claims(sub=SECRET), RSA_TWO),
        signed(claims(sub=SECRET, aud="billing")),
        signed(claims(sub=SECRET, exp=int(NOW) - 60)),
        signed(claims(sub=SECRET, roles=["root"])),
        signed(claims(sub=SECRET), RSA_TWO, "rsa-2"),
    ],
)
async def test_a_bad_token_is_unauthenticated_and_nothing_of_it_is_said(server: Running, token: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await server.raw(_RECORD, b"", metadata=(("authorization", f"Bearer {token}"),))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not any(part in raised.value.details() for part in (SECRET, *token.split(".")) if part)
    assert SECRET not in server.lines.text


async def test_keys_rotate_without_a_restart_and_nobody_waits_for_them(
    server: Running, keys: JwksServer, clock: ManualClock
) -> None:
    old, new = signed(claims()), signed(claims(), RSA_TWO, "rsa-2")
    assert await asked(server, old) == ""
    keys.body = jwks(jwk(RSA_ONE, "rsa-1"), jwk(RSA_TWO, "rsa-2"))
    assert await asked(server, new) == "Unauthenticated"
    clock.advance(30)
    keys.free.clear()
    assert await asked(server, new) == "Loading"
    assert await asked(server, old) == ""
    keys.free.set()
    assert await asked(server, new, tries=30) == ""
    keys.body = jwks(jwk(RSA_TWO, "rsa-2"))
    clock.advance(30)
    assert await asked(server, signed(claims(), RSA_TWO, "rsa-3"), tries=30) == "Unauthenticated"
    assert await asked(server, old) == "Unauthenticated"
    assert await asked(server, new) == ""


async def test_while_the_key_set_is_away_the_last_good_keys_stay(
    server: Running, keys: JwksServer, clock: ManualClock
) -> None:
    keys.body = None
    clock.advance(30)
    assert await asked(server, signed(claims(), RSA_TWO, "rsa-2"), tries=30) == "Unauthenticated"
    assert keys.asked == 2
    assert await asked(server, signed(claims())) == ""
    assert "credentials_not_read" in server.lines.text


async def test_a_server_whose_key_set_was_never_read_does_not_start() -> None:
    with JwksServer(None) as away:
        jwt = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=away.url)
        with pytest.raises(errors.Unavailable, match=r"server\.auth\.jwt\.jwks"):
            async with running(server=ServerSettings(auth=AuthSettings(jwt=jwt))):
                pass

"""The cluster as issuer: a real API server signs a service account's token, and its own key set verifies it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Unauthenticated, Unavailable
from rejoinder.runtime.call import Principal
from rejoinder.runtime.callers.auth import Listed, authenticator
from rejoinder.runtime.callers.jwks import fetcher
from rejoinder.runtime.settings import AuthSettings, JwtSettings

from tests.chaos.harness import wait_until
from tests.cluster.apiserver import ControlPlane

pytestmark = pytest.mark.system

ISSUER = "https://kubernetes.default.svc"


def token(plane: ControlPlane, namespace: str, account: str, audience: str) -> str:
    """As the kubelet asks for it, of the account."""
    where = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    assert plane.call("POST", where, {"metadata": {"name": account}}).status in (201, 409)
    body = {"spec": {"audiences": [audience], "expirationSeconds": 600}}
    answer = plane.call("POST", f"{where}/{account}/token", body)
    assert answer.status == 201
    return str(answer.body["status"]["token"])


def may(fetch: Callable[[], bytes]) -> bool:
    try:
        return bool(fetch())
    except Unavailable:
        return False


def who(auth: Listed, said: str) -> Principal:
    return auth.authenticate([("authorization", f"Bearer {said}")], [])


def test_a_service_accounts_token_is_taken_for_what_the_list_says_of_it(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    principals = tmp_path / "principals.yaml"
    principals.write_text(
        f'- {{principal: chat-app, subject: "system:serviceaccount:{namespace}:chat", roles: [app]}}\n'
    )
    own = tmp_path / "token"
    own.write_text(token(plane, namespace, "rejoinder", ISSUER))
    keys = {"jwks": f"{plane.url}/openid/v1/jwks", "ca_file": plane.ca}
    jwt = JwtSettings(issuer=ISSUER, audience="rejoinder", token_file=own, **keys)
    fetch = fetcher(jwt.jwks, jwt.timeout_s, jwt.ca_file, own)
    wait_until(lambda: may(fetch), "the roles that a server makes for itself after its start")
    auth = authenticator(AuthSettings(file=principals, jwt=jwt), "0.0.0.0", pytest.fail, SystemClock())
    assert isinstance(auth, Listed)
    try:
        caller = who(auth, token(plane, namespace, "chat", "rejoinder"))
        assert caller == Principal("chat-app", frozenset({"app"}), frozenset({"default"}))
        for account, audience, reason in (("chat", ISSUER, "audience"), ("other", "rejoinder", "roles")):
            with pytest.raises(Unauthenticated, match=reason):
                who(auth, token(plane, namespace, account, audience))
    finally:
        auth.close()
    with pytest.raises(Unavailable):
        authenticator(
            AuthSettings(jwt=JwtSettings(issuer=ISSUER, audience="rejoinder", **keys)), "0.0.0.0", pytest.fail
        )

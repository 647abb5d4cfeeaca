from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadFile, BadSettings, ForeignTenant, RoleMissing, Unauthenticated
from rejoinder.runtime.call import LOCAL, Principal
from rejoinder.runtime.callers.auth import Listed, Open, authenticator, check_role, check_tenants
from rejoinder.runtime.settings import AuthSettings, JwtSettings
from rejoinder.v1 import feedback_pb2, ledger_pb2, reward_pb2

from tests.runtime.issuer import AUDIENCE, ISSUER, NOW, RSA_TWO, claims, jwks_file, signed

DIGEST = hashlib.sha256(b"second").hexdigest()
FILE = f"""
- {{principal: one, token: first, roles: [app]}}
- {{principal: two, sha256: {DIGEST}, roles: [app, internal], tenants: ["*"]}}
- {{principal: three, peer: gateway.svc, roles: [admin], tenants: [acme, default]}}
"""


class Failures:
    def __init__(self) -> None:
        self.seen: list[Exception] = []

    def __call__(self, error: Exception) -> None:
        self.seen.append(error)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    out = tmp_path / "principals.yaml"
    out.write_text(FILE)
    return out


def bearer(token: str) -> list[tuple[str, str]]:
    return [("user-agent", "x"), ("authorization", f"Bearer {token}")]


def test_a_token_or_a_certificate_names_its_principal(file: Path) -> None:
    auth = Listed(file, Failures())
    assert auth.authenticate(bearer("first"), []) == Principal("one", frozenset({"app"}), frozenset({"default"}))
    assert auth.authenticate(bearer("second"), []).tenants is None
    assert auth.authenticate([], ["other.svc", "gateway.svc"]).name == "three"


@pytest.mark.parametrize(
    ("metadata", "peers"),
    [
        ([], []),
        ([], ["stranger.svc"]),
        (bearer(""), []),
        (bearer("First"), []),
        (bearer(DIGEST), []),
        ([("authorization", "first")], []),
        ([("authorization", "Basic first")], []),
        # A wrong token is not healed by a right certificate.
        (bearer("wrong"), ["gateway.svc"]),
        ([*bearer("first"), *bearer("first")], []),
        ([*bearer("first"), ("authorization", "")], []),
        # Nobody's issuer is known.
        (bearer(signed(claims(sub="first"))), []),
    ],
)
def test_anything_else_is_unauthenticated(file: Path, metadata: list[tuple[str, str]], peers: list[str]) -> None:
    with pytest.raises(Unauthenticated) as raised:
        Listed(file, Failures()).authenticate(metadata, peers)
    assert "first" not in raised.value.message.lower()


def test_a_changed_file_is_read_again_and_a_broken_one_keeps_the_old_and_is_told(file: Path) -> None:
    failures = Failures()
    auth = Listed(file, failures)
    file.write_text("- {principal: new, token: third, roles: [auditor]}")
    assert auth.authenticate(bearer("third"), []).name == "new"
    with pytest.raises(Unauthenticated):
        auth.authenticate(bearer("first"), [])
    file.write_text("- {principal: ")
    assert auth.authenticate(bearer("third"), []).name == "new"
    assert len(failures.seen) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "principal: one",
        "- one",
        "- {token: a, roles: [app]}",
        "- {principal: one, roles: [app]}",
        "- {principal: one, token: s3cret, sha256: b, roles: [app]}",
        "- {principal: one, token: s3cret}",
        "- {principal: one, token: s3cret, roles: [root]}",
        "- {principal: one, token: s3cret, roles: [app], tenant: acme}",
        "- {principal: one, token: s3cret, roles: [[app]]}",
        "- {principal: one, token: s3cret, roles: -1.0e+308}",
        "- {principal: one, token: s3cret, roles: app}",
        "- {principal: one, token: s3cret, roles: [app], tenants: .nan}",
        "- {principal: one, token: s3cret, roles: [app], tenants: [{}]}",
        "- {principal: one, token: s3cret, roles: [app], tenants: acme}",
        "- {principal: [one], token: s3cret, roles: [app]}",
        "- {principal: one, peer: {s3cret: 1}, roles: [app]}",
        "- {principal: one, subject: [s3cret], roles: [app]}",
        "- {principal: one, subject: a, peer: s3cret, roles: [app]}",
        # To YAML these are the numbers 83 and 12: the token nobody would ever send.
        "- {principal: one, token: 0123, roles: [app]}",
        "- {principal: one, sha256: 12, roles: [app]}",
    ],
)
def test_a_file_that_says_it_wrongly_is_refused_without_showing_a_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text(text)
    with pytest.raises(BadSettings) as raised:
        Listed(file, Failures())
    assert "s3cret" not in raised.value.message


@pytest.mark.parametrize("text", ["- {principal: s3cret", "- 2024-99-99", "&a [*a]", "[" * 400])
def test_a_file_that_is_no_yaml_is_a_bad_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text(text)
    with pytest.raises(BadFile, match=r"principals\.yaml") as raised:
        Listed(file, Failures())
    assert "s3cret" not in raised.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"])
def test_loopback_without_a_file_asks_nobody(host: str) -> None:
    auth = authenticator(AuthSettings(), host, Failures())
    assert isinstance(auth, Open)
    assert auth.authenticate([], []) is LOCAL


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "feedback.svc", ""])
def test_beyond_loopback_without_a_file_must_be_said(host: str) -> None:
    with pytest.raises(BadSettings, match=r"server\.auth"):
        authenticator(AuthSettings(), host, Failures())
    assert isinstance(authenticator(AuthSettings(open=True), host, Failures()), Open)


SUBJECT = "system:serviceaccount:chat:app"
WITH_SUBJECTS = f"""{FILE}
- {{principal: from-chat, subject: "{SUBJECT}", roles: [auditor], tenants: [acme]}}
"""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Listed]:
    """Callers of a file, and of an issuer."""
    file = tmp_path / "principals.yaml"
    file.write_text(WITH_SUBJECTS)
    jwt = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=str(jwks_file(tmp_path)))
    auth = authenticator(AuthSettings(file=file, jwt=jwt), "0.0.0.0", Failures(), ManualClock(NOW))
    assert isinstance(auth, Listed)
    yield auth
    auth.close()


def test_an_issuers_token_works_beside_the_files_tokens_and_certificates(both: Listed) -> None:
    token = signed(claims(roles=["internal", "root"], tenants="*"))
    assert both.authenticate(bearer(token), []) == Principal("chat", frozenset({"internal"}), issuer=ISSUER)
    assert both.authenticate(bearer("first"), []).name == "one"
    assert both.authenticate([], ["gateway.svc"]).name == "three"


@pytest.mark.parametrize("said", [{"roles": None}, {"roles": ["admin"], "tenants": ["*"]}])
def test_a_subject_that_stands_in_the_file_has_what_stands_there(both: Listed, said: dict[str, Any]) -> None:
    caller = both.authenticate(bearer(signed(claims(sub=SUBJECT, **said))), [])
    assert caller == Principal("from-chat", frozenset({"auditor"}), frozenset({"acme"}))
    with pytest.raises(ForeignTenant):
        caller.check_tenant("globex")


@pytest.mark.parametrize(
    "token",
    [
        SUBJECT,
        signed(claims(sub="other", roles=["root"])),
        signed(claims(sub="other", roles=None)),
        signed(claims(sub=SUBJECT), RSA_TWO),
        signed(claims(sub=SUBJECT, aud="billing")),
        "a.b.c",
        "..",
    ],
)
def test_no_role_of_ours_or_no_good_token_is_unauthenticated(both: Listed, token: str) -> None:
    with pytest.raises(Unauthenticated) as raised:
        both.authenticate(bearer(token), ["gateway.svc"])
    assert token not in raised.value.message


def test_an_issuer_alone_is_enough_beyond_loopback_and_asks_everybody_on_it(tmp_path: Path) -> None:
    jwt = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks=str(jwks_file(tmp_path)))
    for host, open_to_all in (("0.0.0.0", False), ("127.0.0.1", False), ("0.0.0.0", True)):
        auth = authenticator(AuthSettings(jwt=jwt, open=open_to_all), host, Failures(), ManualClock(NOW))
        assert auth.authenticate(bearer(signed(claims())), []).name == "chat"
        for metadata in ([], bearer("first")):
            with pytest.raises(Unauthenticated):
                auth.authenticate(metadata, ["gateway.svc"])


def test_a_method_takes_its_roles_and_an_unknown_one_takes_none() -> None:
    app = Principal("app", frozenset({"app"}))
    check_role(app, "/rejoinder.v1.RewardService/Score")
    with pytest.raises(RoleMissing):
        check_role(app, "/rejoinder.v1.LedgerService/Erase")
    with pytest.raises(RoleMissing):
        check_role(LOCAL, "/rejoinder.v1.RewardService/Unlisted")


def test_a_tenant_is_looked_for_in_the_request_and_in_its_events() -> None:
    acme = Principal("app", frozenset({"app"}), frozenset({"acme"}))
    check_tenants(acme, ledger_pb2.EraseRequest(tenant="acme"))
    check_tenants(acme, reward_pb2.ListHeadsRequest())
    with pytest.raises(ForeignTenant):
        check_tenants(acme, ledger_pb2.EraseRequest(tenant=""))
    request = feedback_pb2.RecordFeedbackRequest()
    request.events.add(tenant="acme")
    check_tenants(acme, request)
    request.events.add(tenant="other")
    with pytest.raises(ForeignTenant):
        check_tenants(acme, request)
    check_tenants(Principal("any", frozenset(), None), request)

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import ForeignTenant, Loading, Unauthenticated
from rejoinder.runtime.call import Principal
from rejoinder.runtime.callers import jwts
from rejoinder.runtime.callers.jwks import FileKeys, Keys, read_keys
from rejoinder.runtime.callers.jwts import Verifier
from rejoinder.runtime.settings import JwtSettings

from tests.runtime.issuer import (
    AUDIENCE,
    EC_ONE,
    EC_TWO,
    ED_ONE,
    ISSUER,
    NOW,
    PUBLISHED,
    RSA_ONE,
    RSA_TWO,
    claims,
    jwk,
    jwks,
    jwks_file,
    part,
    pem,
    signed,
    written,
)


class Held:
    """Keys that a test holds. missed: tokens that named another."""

    def __init__(self, keys: bytes = PUBLISHED, coming: bool = False) -> None:
        self.keys = read_keys(keys)
        self.coming = coming
        self.missed = 0

    def get(self) -> Keys:
        return self.keys

    def missing(self) -> bool:
        self.missed += 1
        return self.coming

    def close(self) -> None:
        return None


def verifier(keys: bytes = PUBLISHED, clock: ManualClock | None = None, **settings: Any) -> Verifier:
    return Verifier(said(**settings), Held(keys), clock or ManualClock(NOW))


def said(**settings: Any) -> JwtSettings:
    return JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks="jwks.json", **settings)


def refusal(token: str, by: Verifier | None = None) -> str:
    with pytest.raises(Unauthenticated) as raised:
        (by or verifier()).verify(token)
    return raised.value.message


def hmac_signed(key: bytes, algorithm: str = "HS256") -> str:
    text = f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': 'rsa-1'})}.{part(claims())}"
    return f"{text}.{part(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def tampered() -> str:
    head, _, signature = signed(claims()).split(".")
    return f"{head}.{part(claims(roles=['admin']))}.{signature}"


def swapped_head(**header: Any) -> str:
    """A good signature under another header."""
    _, body, signature = signed(claims()).split(".")
    return f"{part({'alg': 'RS256', 'kid': 'rsa-1', **header})}.{body}.{signature}"


RS = {"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}
#: Claims to which more is written by hand.
OPEN = json.dumps(claims())[:-1].encode()

#: What is tried, and what is said to it.
ATTACKS: dict[str, tuple[str, str]] = {
    "alg none": (f"{part({'alg': 'none', 'kid': 'rsa-1'})}.{part(claims())}.", "algorithm"),
    "alg None": (f"{part({'alg': 'None', 'kid': 'rsa-1'})}.{part(claims())}.", "algorithm"),
    "no alg": (f"{part({'kid': 'rsa-1'})}.{part(claims())}.{part(b'x')}", "algorithm"),
    "alg a list": (f"{part({'alg': ['RS256'], 'kid': 'rsa-1'})}.{part(claims())}.{part(b'x')}", "algorithm"),
    "RS256 without a signature": (".".join([*signed(claims()).split(".")[:2], ""]), "signature is wrong"),
    "HS256 with the public key as secret (PEM)": (hmac_signed(pem(RSA_ONE)), "algorithm"),
    "HS256 with the public key as secret (JWK)": (hmac_signed(json.dumps(jwk(RSA_ONE)).encode()), "algorithm"),
    "HS256 with an empty secret": (hmac_signed(b""), "algorithm"),
    "an asymmetric algorithm that is not listed": (signed(claims(), RSA_ONE, alg="PS256"), "algorithm"),
    "another audience": (signed(claims(aud="billing")), "audience"),
    "audiences without ours": (signed(claims(aud=["billing", "rejoinder-2"])), "audience"),
    "no audience": (signed(claims(aud=None)), "aud"),
    "an audience that holds ours": (signed(claims(aud="rejoinder-eu")), "audience"),
    "an audience that is none": (written(RS, claims(aud={"rejoinder": 1})), "aud"),
    "another issuer": (signed(claims(iss="https://other.example")), "issuer"),
    "the issuer with a slash": (signed(claims(iss=ISSUER + "/")), "issuer"),
    "issuers": (written(RS, claims(iss=[ISSUER])), "issuer"),
    "no issuer": (signed(claims(iss=None)), "issuer"),
    "expired": (signed(claims(exp=int(NOW) - 31)), "expired"),
    "expired long ago": (signed(claims(exp=0)), "expired"),
    "no expiry": (signed(claims(exp=None)), "expiry"),
    "expiry as text": (written(RS, claims(exp="2100-01-01")), "exp is no time"),
    "expiry true": (written(RS, claims(exp=True)), "exp is no time"),
    "expiry infinite": (written(RS, OPEN.replace(b'"exp": 1700000600', b'"exp": 1e999') + b"}"), "exp is no time"),
    "expiry of 4,000 digits": (written(RS, OPEN.replace(b"1700000600", b"9" * 4000) + b"}"), "exp is no time"),
    "expiry in milliseconds": (signed(claims(exp=int(NOW) * 1000)), "exp is no time"),
    "not yet": (signed(claims(nbf=int(NOW) + 31)), "not valid yet"),
    "issued in the future": (signed(claims(iat=int(NOW) + 31)), "not valid yet"),
    "not before as text": (written(RS, claims(nbf="now")), "nbf is no time"),
    "an unknown kid": (signed(claims(), RSA_TWO, "rsa-9"), "key is not one"),
    "a kid that is a path": (signed(claims(), RSA_TWO, "../../../../dev/null"), "key is not one"),
    "a kid that is SQL": (signed(claims(), RSA_TWO, "x' UNION SELECT 'key'--"), "key is not one"),
    "a kid that is a list": (written({**RS, "kid": ["rsa-1"]}, claims()), "key is not one"),
    "a known kid, another's key": (signed(claims(), RSA_TWO), "signature is wrong"),
    "jku, an attacker's set": (signed(claims(), RSA_TWO, "mine", jku="https://evil.example/keys"), "key is not one"),
    "jku beside a known kid": (signed(claims(), RSA_TWO, jku="https://evil.example/keys"), "signature is wrong"),
    "x5u": (signed(claims(), RSA_TWO, x5u="https://evil.example/cert"), "signature is wrong"),
    "jwk, the attacker's own key": (signed(claims(), RSA_TWO, "mine", jwk=jwk(RSA_TWO, "mine")), "key is not one"),
    "an unknown critical header": (signed(claims(), crit=["x"], x=1), "critical"),
    "an empty critical header": (written({**RS, "crit": []}, claims()), "critical"),
    "a payload that is not encoded": (written({**RS, "b64": False}, claims()), "critical"),
    "a token of a logout": (signed(claims(), typ="logout+jwt"), "kind"),
    "a type that is no text": (written({**RS, "typ": 1}, claims()), "kind"),
    "tampered claims": (tampered(), "signature is wrong"),
    "a tampered header": (swapped_head(x=1), "signature is wrong"),
    "an EC key under an RSA algorithm": (swapped_head(kid="ec-1"), "key is not one"),
    "an RSA key under an EC algorithm": (swapped_head(alg="ES256"), "key is not one"),
    "an EC signature of noughts": (
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part(claims())}.{part(bytes(64))}",
        "signature is wrong",
    ),
    "an EC signature that is cut": (signed(claims(), EC_ONE, "ec-1")[:-8], "signature is wrong"),
    "oversize": (signed(claims(x="y" * jwts.MOST_BYTES)), "too long"),
    "a header in which alg stands twice": (
        written(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}', claims()),
        "header cannot be read",
    ),
    "claims in which roles stand twice": (written(RS, OPEN + b',"roles":["admin"]}'), "claims cannot be read"),
    "claims that are no object": (written(RS, ["app"]), "claims cannot be read"),
    "claims that are no JSON": (written(RS, b"app"), "claims cannot be read"),
    "claims that are no UTF-8": (written(RS, b'{"sub":"\xff"}'), "claims cannot be read"),
    "claims with NaN": (written(RS, OPEN + b',"x":NaN}'), "claims cannot be read"),
    "claims without end": (written(RS, b"[" * 5000), "claims cannot be read"),
    "a header without end": (f"{part(b'[' * 5000)}.{part(claims())}.{part(b'x')}", "header cannot be read"),
    "padding": (signed(claims()) + "=", "no JWT"),
    "a line's end": (signed(claims()) + "\n", "no JWT"),
    "letters that are none of the alphabet": ("é.é.é", "no JWT"),
    "half a surrogate": ("\ud800.x.x", "no JWT"),
    "a part of one letter": (f"{part(RS)}.{part(claims())}.x", "signature cannot be read"),
    "empty parts": ("..", "no JWT"),
    "five parts": (signed(claims()) + ".x.y", "no JWT"),
    "no principal": (signed(claims(sub=None)), "principal"),
    "an empty principal": (signed(claims(sub="")), "principal"),
    "a principal that is no text": (written(RS, claims(sub=7)), "principal"),
    "a principal that forges a line": (signed(claims(sub="a\nlevel=error")), "principal"),
    "a principal without end": (signed(claims(sub="a" * 300)), "principal"),
    "roles that are no list": (written(RS, claims(roles={"admin": True})), "roles cannot be read"),
    "roles in a list": (written(RS, claims(roles=[["admin"]])), "roles cannot be read"),
    "tenants that are no list": (written(RS, claims(tenants=True)), "tenants cannot be read"),
    "no tenant among them": (signed(claims(tenants=[])), "no tenant"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_with_its_reason_and_nothing_of_the_token(name: str) -> None:
    token, reason = ATTACKS[name]
    message = refusal(token)
    assert reason in message
    assert not any(word in message for word in (ISSUER, "evil", "admin", "billing", "UNION", *token.split(".")) if word)


def test_the_control_a_good_token_is_taken() -> None:
    claimed = verifier().verify(signed(claims()))
    assert claimed.caller == Principal("chat", frozenset({"app"}), frozenset({"default"}), ISSUER)
    assert verifier().verify(signed(claims(), EC_ONE, "ec-1")).caller == claimed.caller
    assert verifier().verify(written(RS, claims())).caller == claimed.caller


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "application/at+JWT"])
def test_an_access_token_and_a_jku_that_is_not_followed_are_taken(typ: str) -> None:
    assert verifier().verify(signed(claims(), typ=typ, jku="https://issuer.example/keys")).caller


@pytest.mark.parametrize(
    "times", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29}, {"iat": None}, {"exp": NOW + 0.5}]
)
def test_clocks_may_differ_by_the_leeway_and_times_may_have_parts(times: dict[str, Any]) -> None:
    assert verifier().verify(signed(claims(**times))).caller
    if times.get("exp") != NOW + 0.5 and times != {"iat": None}:
        refusal(signed(claims(**times)), verifier(leeway_s=0))


def test_only_listed_algorithms_are_taken() -> None:
    both = jwks(jwk(ED_ONE, "ed-1"), jwk(RSA_ONE, "rsa-1"))
    token = signed(claims(), ED_ONE, "ed-1")
    assert verifier(both, algorithms=("EdDSA",)).verify(token).caller
    assert "algorithm" in refusal(token, verifier(both))
    assert "algorithm" in refusal(signed(claims()), verifier(both, algorithms=("EdDSA",)))


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512", "none", "None", "", "ES256K"])
def test_a_symmetric_algorithm_or_none_can_not_be_listed(name: str) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        said(algorithms=("RS256", name))
    with pytest.raises(ValueError, match="algorithms"):
        said(algorithms=())


def test_a_token_without_a_kid_is_taken_where_one_key_fits() -> None:
    token = signed(claims(), kid=None)
    assert verifier().verify(token).caller
    two = jwks(jwk(RSA_ONE, "rsa-1"), jwk(RSA_TWO, "rsa-2"))
    assert "key is not one" in refusal(token, verifier(two))


def test_two_keys_of_one_kid_are_refused_unless_their_kinds_differ() -> None:
    two = jwks(jwk(RSA_TWO, "k"), jwk(RSA_ONE, "k"), jwk(EC_ONE, "k"), jwk(EC_TWO, "other"))
    for key in (RSA_ONE, RSA_TWO):
        assert "key is not one" in refusal(signed(claims(), key, "k"), verifier(two))
    assert verifier(two).verify(signed(claims(), EC_ONE, "k")).caller


def test_a_key_that_was_rotated_out_is_refused_though_its_token_was_known(tmp_path: Path) -> None:
    file = jwks_file(tmp_path)
    checked = Verifier(said(), FileKeys(file, pytest.fail), ManualClock(NOW))
    old, new = signed(claims()), signed(claims(), RSA_TWO, "rsa-2")
    assert checked.verify(old).caller
    refusal(new, checked)
    file.write_bytes(jwks(jwk(RSA_ONE, "rsa-1"), jwk(RSA_TWO, "rsa-2")))
    assert checked.verify(new).caller == checked.verify(old).caller
    file.write_bytes(jwks(jwk(RSA_TWO, "rsa-2")))
    assert "key is not one" in refusal(old, checked)
    assert checked.verify(new).caller
    file.write_bytes(jwks())
    refusal(new, checked)


def test_a_known_token_is_not_verified_again_and_ends_at_its_expiry() -> None:
    clock = ManualClock(NOW)
    checked, token = verifier(clock=clock), signed(claims())
    first = checked.verify(token)
    assert checked.verify(token) is first
    clock.advance(629)
    assert checked.verify(token) is first
    clock.advance(2)
    for _ in range(2):
        assert "expired" in refusal(token, checked)


def test_what_is_known_is_bounded_and_a_refused_token_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwts, "_MOST_KNOWN", 2)
    checked = verifier()
    tokens = [signed(claims(sub=name), EC_ONE, "ec-1") for name in "abc"]
    kept = [checked.verify(token) for token in tokens]
    for token, _ in ATTACKS.values():
        refusal(token, checked)
    assert checked.verify(tokens[2]) is kept[2]
    assert checked.verify(tokens[1]) is kept[1]
    assert checked.verify(tokens[0]) is not kept[0]


def test_an_unknown_key_that_may_be_on_its_way_is_asked_to_come_again() -> None:
    keys = Held(coming=True)
    checked = Verifier(said(), keys, ManualClock(NOW))
    with pytest.raises(Loading) as raised:
        checked.verify(signed(claims(), RSA_TWO, "rsa-2"))
    assert raised.value.retry_after_s == 1.0
    assert keys.missed == 1
    # Nothing but a name that is not known asks for a reading.
    refusal(tampered(), checked)
    refusal(hmac_signed(b""), checked)
    assert keys.missed == 1


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["app", "auditor"], {"app", "auditor"}),
        ("app auditor", {"app", "auditor"}),
        (["app", "root", "billing:admin"], {"app"}),
        (["root"], None),
        (["Admin", "admin "], None),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_roles_are_ours_or_none(names: Any, roles: set[str] | None) -> None:
    caller = verifier().verify(signed(claims(roles=names))).caller
    assert (None if caller is None else caller.roles) == roles


@pytest.mark.parametrize(
    ("names", "tenants"),
    [
        (None, {"default"}),
        (["acme"], {"acme"}),
        ("acme other", {"acme", "other"}),
        ("*", None),
        (["acme", "*"], None),
    ],
)
def test_tenants_are_those_of_the_token(names: Any, tenants: set[str] | None) -> None:
    caller = verifier().verify(signed(claims(tenants=names))).caller
    assert caller is not None
    assert caller.tenants == tenants
    if tenants is not None:
        with pytest.raises(ForeignTenant):
            caller.check_tenant("globex")


def test_claims_have_the_names_that_the_settings_give_them() -> None:
    checked = verifier(
        principal_claim="email", roles_claim="realm_access.roles", tenants_claim="https://example.com/tenants"
    )
    others = {"email": "ann@example", "realm_access": {"roles": ["admin"]}, "https://example.com/tenants": "acme"}
    caller = checked.verify(signed(claims(**others))).caller
    assert caller == Principal("ann@example", frozenset({"admin"}), frozenset({"acme"}), ISSUER)
    assert checked.verify(signed(claims(**{**others, "realm_access": "admin"}))).caller is None

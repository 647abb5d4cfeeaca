from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadFile, BadSettings, Unavailable
from rejoinder.runtime.callers.jwks import FileKeys, RemoteKeys, fetcher, read_keys, source_of
from rejoinder.runtime.settings import JwtSettings

from tests.chaos.harness import wait_until
from tests.runtime.issuer import EC_ONE, ED_ONE, PUBLISHED, RSA_ONE, RSA_TWO, JwksServer, jwk, jwks, jwks_file

ONE, TWO = jwks(jwk(RSA_ONE, "one")), jwks(jwk(RSA_TWO, "two"))


class Fetch:
    """What a thread is given to read. owns: what comes next, and how often it was asked."""

    def __init__(self, body: bytes | Exception) -> None:
        self.body = body
        self.asked = 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self) -> bytes:
        self.asked += 1
        assert self.free.wait(60)
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


class Remote:
    """Keys behind a Fetch. owns: them, their clock, and the failures that were told."""

    def __init__(self, refresh_s: float = 3600.0, pause_s: float = 30.0) -> None:
        self.fetch, self.clock = Fetch(ONE), ManualClock()
        self.failures: list[Exception] = []
        self.keys = RemoteKeys(self.fetch, refresh_s, pause_s, self.failures.append, self.clock)

    def has(self, kid: str) -> bool:
        return self.keys.get().find(kid, "RS256") is not None


@pytest.fixture
def remote() -> Iterator[Callable[..., Remote]]:
    made: list[Remote] = []

    def make(**settings: float) -> Remote:
        made.append(Remote(**settings))
        return made[-1]

    yield make
    for each in made:
        each.fetch.free.set()
        each.keys.close()


def settings(where: str, **others: Any) -> JwtSettings:
    return JwtSettings(issuer="i", audience="a", jwks=where, **others)


def test_a_key_verifies_with_what_fits_its_kind_and_what_the_set_says_of_it() -> None:
    keys = read_keys(jwks(jwk(RSA_ONE, "r"), jwk(RSA_TWO, "p", alg="PS256"), jwk(EC_ONE, "e"), jwk(ED_ONE, "d")))
    fits = {
        kid: [a for a in ("RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256") if keys.find(kid, a)] for kid in "rped"
    }
    assert fits == {"r": ["RS256", "PS256"], "p": ["PS256"], "e": ["ES256"], "d": ["EdDSA"]}


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "RS256"},
        jwk(RSA_TWO, "x", use="enc"),
        jwk(RSA_TWO, "x", alg="RSA-OAEP"),
        jwk(RSA_TWO, "x", alg="HS256"),
        jwk(RSA_TWO, "x", alg=["RS256"]),
        jwk(RSA_TWO, "x", key_ops=["encrypt"]),
        {**jwk(RSA_TWO, "x"), "key_ops": "verify"},
        {**jwk(RSA_TWO, "x"), "n": 7},
        {**jwk(RSA_TWO, "x"), "n": "é"},
        {**jwk(RSA_TWO), "kid": 7},
        {**jwk(EC_ONE, "x"), "crv": "P-384"},
        {**jwk(EC_ONE, "x"), "crv": "secp256k1"},
        {**jwk(EC_ONE, "x"), "y": jwk(EC_ONE)["x"]},
        {**jwk(ED_ONE, "x"), "kty": "EC"},
        {"kty": ["RSA"], "kid": "x"},
        {"kty": "EC", "kid": "x"},
        {"kid": "x"},
        "x",
        None,
    ],
)
def test_a_key_that_may_not_verify_is_passed_over_and_the_others_stay(other: Any) -> None:
    keys = read_keys(json.dumps({"keys": [other, jwk(RSA_ONE, "one")]}).encode())
    assert len(keys) == 1
    assert keys.find("one", "RS256")


def test_a_short_key_is_passed_over() -> None:
    assert len(read_keys(jwks(jwk(rsa.generate_private_key(65537, 1024), "x")))) == 0


def test_the_private_half_of_a_published_key_is_not_read() -> None:
    numbers = {"d": "AQAB", "p": "AQAB"}
    key = read_keys(jwks({**jwk(RSA_ONE, "one"), **numbers})).find("one", "RS256")
    assert key is not None
    assert not hasattr(key.public, "private_numbers")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b"\xff",
        b"[" * 5000,
        b'{"keys": [NaN]}',
        ONE[:-5],
    ],
)
def test_what_is_no_key_set_is_a_bad_file(data: bytes) -> None:
    with pytest.raises(BadFile):
        read_keys(data)


def test_a_file_is_read_again_when_it_changes_and_a_broken_one_keeps_the_old(tmp_path: Path) -> None:
    failures: list[Exception] = []
    file = jwks_file(tmp_path, ONE)
    keys = FileKeys(file, failures.append)
    assert keys.get() is keys.get()
    file.write_bytes(TWO)
    assert (keys.get().find("one", "RS256"), keys.get().find("two", "RS256") is not None) == (None, True)
    file.write_bytes(b'{"keys": [')
    assert keys.get().find("two", "RS256")
    file.unlink()
    assert keys.get().find("two", "RS256")
    assert failures
    assert keys.missing() is False


@pytest.mark.parametrize("body", [None, jwks(), jwks({"kty": "oct", "k": "AA"}), b"<html>"])
def test_a_process_that_never_read_a_key_does_not_start_and_says_why(tmp_path: Path, body: bytes | None) -> None:
    file = tmp_path / "jwks.json"
    if body is not None:
        file.write_bytes(body)
    with pytest.raises((BadSettings, BadFile)) as raised:
        source_of(settings(str(file)), pytest.fail, ManualClock())
    assert "jwks" in raised.value.message or "key set" in raised.value.message
    with JwksServer(body) as server:
        with pytest.raises((BadSettings, BadFile, Unavailable)):
            source_of(settings(server.url), pytest.fail, ManualClock())
    with pytest.raises(Unavailable, match=r"server\.auth\.jwt\.jwks.*fetched \(ConnectError\)"):
        source_of(settings(server.url), pytest.fail, ManualClock())


def test_keys_of_a_url_are_read_again_each_interval(remote: Callable[..., Remote]) -> None:
    one = remote(refresh_s=0.01)
    assert one.has("one")
    one.fetch.body = TWO
    wait_until(lambda: one.has("two"), "the new key")
    assert not one.has("one")


def test_the_same_keys_stay_the_same_object(remote: Callable[..., Remote]) -> None:
    one = remote(refresh_s=0.01)
    before = one.keys.get()
    wait_until(lambda: one.fetch.asked > 3, "some readings")
    assert one.keys.get() is before


def test_keys_that_are_away_stay_as_they_were_and_it_is_told(remote: Callable[..., Remote]) -> None:
    one = remote(refresh_s=0.01)
    for away in (OSError("away"), b"<html>", b""):
        one.fetch.body = away
        told = len(one.failures)
        wait_until(lambda told=told: len(one.failures) > told + 1, "failed readings")
        assert one.has("one")
    one.fetch.body = TWO
    wait_until(lambda: one.has("two"), "the new key")


def test_an_unknown_key_asks_for_one_reading_a_pause_and_nobody_waits_for_it(remote: Callable[..., Remote]) -> None:
    one = remote()
    assert not any(one.keys.missing() for _ in range(100)), "just read"
    one.clock.advance(30)
    one.fetch.free.clear()
    one.fetch.body = TWO
    assert all(one.keys.missing() for _ in range(100)), "one is under way"
    wait_until(lambda: one.fetch.asked == 2, "the reading")
    assert one.has("one")
    one.fetch.free.set()
    wait_until(lambda: one.has("two"), "the new key")
    wait_until(lambda: not one.keys.missing(), "its end")
    assert not any(one.keys.missing() for _ in range(100))
    assert one.fetch.asked == 2
    one.clock.advance(30)
    one.fetch.body = OSError("away")
    assert one.keys.missing()
    wait_until(lambda: len(one.failures) == 1, "a failed reading")
    assert one.has("two")


def test_what_is_closed_reads_no_more() -> None:
    one = Remote()
    one.keys.close()
    wait_until(lambda: not any(thread.name == "jwks" for thread in threading.enumerate()), "the thread's end")
    assert one.fetch.asked == 1


def test_a_url_is_read_without_redirect_and_shows_a_token_only_over_https(tmp_path: Path) -> None:
    with JwksServer() as server:
        fetch = fetcher(server.url, 60.0, None, None)
        assert fetch() == PUBLISHED
        assert "authorization" not in server.headers
        assert server.headers["accept-encoding"] == "identity"
        server.status = 302
        with pytest.raises(Unavailable, match="302"):
            fetch()
        assert server.asked == 2
        server.status, server.body = 200, b" " * (1024 * 1024 + 1)
        with pytest.raises(BadFile, match="larger"):
            fetch()
        server.dribbles, server.body = True, PUBLISHED
        # The client's own limit is one of each read; a dribble comes to it only where the server is held up.
        with pytest.raises((TimeoutError, httpx.TimeoutException)):
            fetcher(server.url, 0.2, None, None)()
    with pytest.raises(BadSettings, match="https alone"):
        fetcher("http://issuer.example/keys", 5.0, None, tmp_path / "token")
    for url in ("https://", "https://user:s3cret@issuer.example/keys", "https:///keys"):
        with pytest.raises(BadSettings) as raised:
            fetcher(url, 5.0, None, None)
        assert "s3cret" not in raised.value.message

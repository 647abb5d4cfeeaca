"""The public keys of a tokens' issuer (JWKS, RFC 7517), from a file or a URL, read again while the process runs."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadFile, BadSettings, RejoinderError, Unavailable
from rejoinder.runtime.files import WatchedFiles
from rejoinder.runtime.settings import JwtSettings

#: Bytes of a key set; bits of an RSA key: below is broken, above costs more than a call should.
_MOST_BYTES = 1024 * 1024
_RSA_BITS = range(2048, 8192 + 1)
#: Seconds from one reading to the next that an unknown key asks for, and to the next after one that failed.
PAUSE_S = 30.0

#: By the kind of a key, or its curve: with what it may verify. No symmetric key is ever one of an issuer's.
_FITS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
#: What is read of a key. A private part that was published by mistake is not.
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


@dataclass(frozen=True)
class Key:
    """kid: "" where it has no name. algorithms: with which it may verify. public: as cryptography holds it."""

    kid: str
    algorithms: frozenset[str]
    public: Any


class Keys:
    """A key set. owns: nothing that changes."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._all = tuple(keys)
        self._named: dict[str, list[Key]] = defaultdict(list)
        for key in self._all:
            self._named[key.kid].append(key)

    def __len__(self) -> int:
        return len(self._all)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key that fits; None where there is none, or more than one so that nobody knows which is meant.
        kid: None for a token that names none."""
        named = self._all if kid is None else self._named.get(kid, ())
        fit = [key for key in named if algorithm in key.algorithms]
        return fit[0] if len(fit) == 1 else None


class KeySource(Protocol):
    """Where keys come from."""

    def get(self) -> Keys:
        """The keys as they are known now; never waits for a network."""

    def missing(self) -> bool:
        """Told that a token's key is not among them. True where that may change in a moment."""

    def close(self) -> None:
        """Nothing is read any more."""


def source_of(settings: JwtSettings, failed: Callable[[Exception], None], clock: Clock) -> KeySource:
    """The keys that the settings name, read once. Raises BadSettings, BadFile, Unavailable where they cannot be read,
    or none of them may verify."""
    if not settings.is_url:
        return FileKeys(Path(settings.jwks), failed)
    fetch = fetcher(settings.jwks, settings.timeout_s, settings.ca_file, settings.token_file)
    return RemoteKeys(fetch, settings.refresh_s, PAUSE_S, failed, clock)


class FileKeys:
    """Keys of a file, read again when it changes. owns: its last good content."""

    def __init__(self, file: Path, failed: Callable[[Exception], None]) -> None:
        self._known = WatchedFiles((file,), lambda: read_keys(_bytes(file)), failed)
        _check_some(self._known.get(), str(file))
        self.get = self._known.get

    def missing(self) -> bool:
        return False

    def close(self) -> None:
        return None


class RemoteKeys:
    """Keys that a thread of its own fetches: each refresh_s, and when a token names another, at most each pause_s.

    owns: the last good keys, which stay while there are no others, and the thread.
    """

    def __init__(
        self,
        fetch: Callable[[], bytes],
        refresh_s: float,
        pause_s: float,
        failed: Callable[[Exception], None],
        clock: Clock,
    ) -> None:
        self._fetch = fetch
        self._refresh_s = refresh_s
        self._pause_s = pause_s
        self._failed = failed
        self._clock = clock
        self._closed = False
        #: Set while a reading is wanted or under way.
        self._wanted = threading.Event()
        self._began = clock.monotonic()
        try:
            self._data = fetch()
            self._keys = read_keys(self._data)
        except RejoinderError:
            raise
        except Exception as error:
            cause = type(error).__name__
            raise Unavailable(f"server.auth.jwt.jwks: the key set cannot be fetched ({cause})") from error
        _check_some(self._keys, "server.auth.jwt.jwks")
        threading.Thread(target=self._read_on, name="jwks", daemon=True).start()

    def get(self) -> Keys:
        return self._keys

    def missing(self) -> bool:
        if self._wanted.is_set():
            return True
        if self._clock.monotonic() - self._began < self._pause_s:
            return False
        self._wanted.set()
        return True

    def close(self) -> None:
        self._closed = True
        self._wanted.set()

    def _read_on(self) -> None:
        wait_s = self._refresh_s
        while not self._closed:
            self._wanted.wait(wait_s)
            if self._closed:
                return
            self._wanted.set()
            self._began = self._clock.monotonic()
            wait_s = self._refresh_s if self._read() else min(self._refresh_s, self._pause_s)
            # Before the look at whether it is closed, or what closes it could be missed.
            self._wanted.clear()

    def _read(self) -> bool:
        try:
            data = self._fetch()
            # The same keys stay the same object: what was verified with them need not be verified again.
            if data != self._data:
                self._keys, self._data = read_keys(data), data
            return True
        except Exception as error:
            self._failed(error)
            return False


def fetcher(url: str, timeout_s: float, ca_file: Path | None, token_file: Path | None) -> Callable[[], bytes]:
    """What reads a URL: no proxy, no redirect, no compression, at most 1 MiB. Raises BadSettings for what is no such
    URL. token_file: shown to the server, read each time; ca_file: roots that it is checked against."""
    import httpx

    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None:
        raise BadSettings("server.auth.jwt.jwks: a URL names a host and holds no credentials")
    if token_file is not None and parts.scheme != "https":
        raise BadSettings("server.auth.jwt.token_file is shown over https alone")

    def fetch() -> bytes:
        roots = ssl.create_default_context(cafile=ca_file)
        # An API server knows no key set as plain JSON.
        headers = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}
        if token_file is not None:
            headers["authorization"] = f"Bearer {token_file.read_text('utf-8').strip()}"
        data = bytearray()
        until = time.monotonic() + timeout_s
        with httpx.Client(verify=roots, timeout=timeout_s, trust_env=False, follow_redirects=False) as client:
            with client.stream("GET", url, headers=headers) as response:
                if response.status_code != 200:
                    raise Unavailable(f"server.auth.jwt.jwks: the server answered {response.status_code}")
                for part in response.iter_raw():
                    data += part
                    if len(data) > _MOST_BYTES:
                        raise BadFile(f"the key set is larger than {_MOST_BYTES} bytes")
                    # The client's own limit is one of each read: a server that dribbles would never meet it.
                    if time.monotonic() > until:
                        raise TimeoutError("the key set did not come in time")
        return bytes(data)

    return fetch


def read_keys(data: bytes) -> Keys:
    """The keys of a set that may verify; others (encryption, unknown kinds, too short) are passed over, as the RFC
    has it. Raises BadFile for what is no key set."""
    try:
        found = object_of(data).get("keys")
    except ValueError:
        raise BadFile("the key set is no JSON object") from None
    if len(data) > _MOST_BYTES or not isinstance(found, list):
        raise BadFile("the key set holds no list of keys, or is too large")
    return Keys(key for key in map(_key, found) if key is not None)


def object_of(data: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice, where two readers could see two values. Raises ValueError."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError from None
    if not isinstance(value, dict):
        raise ValueError
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _no_constant(name: str) -> None:
    raise ValueError


def _key(said: Any) -> Key | None:
    if not isinstance(said, dict) or said.get("use", "sig") != "sig":
        return None
    operations, kind, kid = said.get("key_ops", ["verify"]), said.get("kty"), said.get("kid", "")
    if not isinstance(operations, list) or "verify" not in operations or not isinstance(kid, str):
        return None
    names = _PUBLIC.get(kind, ()) if isinstance(kind, str) else ()
    public = {name: said.get(name) for name in names}
    if not public or not all(isinstance(value, str) for value in public.values()):
        return None
    fits = frozenset(_FITS.get(str(public.get("crv", kind)), ()))
    if "alg" in said:
        fits &= {said["alg"]} if isinstance(said["alg"], str) else frozenset()
    if not fits:
        return None
    try:
        held = jwt.PyJWK({"kty": kind, **public}, min(fits)).key
    except (jwt.PyJWTError, ValueError):
        return None
    return None if kind == "RSA" and held.key_size not in _RSA_BITS else Key(kid, fits, held)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadSettings(f"{file} cannot be read ({type(error).__name__})") from None


def _check_some(keys: Keys, where: str) -> None:
    """At the start alone: an issuer that empties its set later has taken back its keys."""
    if not len(keys):
        raise BadSettings(f"{where} holds no key that may verify")

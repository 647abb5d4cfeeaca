"""An issuer of tokens: its keys, its key set, tokens as it signs them and as an attacker would write them; and a server
of its key set on loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "rejoinder"
#: The time at which `claims` are valid.
NOW = 1_700_000_000.0

RSA_ONE, RSA_TWO = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC_ONE, EC_TWO = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ED_ONE = ed25519.Ed25519PrivateKey.generate()

_KINDS = (
    (rsa.RSAPrivateKey, RSAAlgorithm),
    (ec.EllipticCurvePrivateKey, ECAlgorithm),
    (ed25519.Ed25519PrivateKey, OKPAlgorithm),
)


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public half of a key as a set holds it."""
    algorithm = next(algorithm for kind, algorithm in _KINDS if isinstance(key, kind))
    named = {} if kid is None else {"kid": kid}
    return {**json.loads(algorithm.to_jwk(key.public_key())), **named, **more}


def jwks(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


#: What the issuer publishes, unless a test says otherwise.
PUBLISHED = jwks(jwk(RSA_ONE, "rsa-1", use="sig", alg="RS256"), jwk(EC_ONE, "ec-1", use="sig"))


def claims(now: float = NOW, **others: Any) -> dict[str, Any]:
    """Of a good token; None leaves one out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "chat", "roles": ["app"], "iat": int(now), "exp": int(now) + 600}
    return {name: value for name, value in {**good, **others}.items() if value is not None}


def signed(said: Mapping[str, Any], key: Any = RSA_ONE, kid: str | None = "rsa-1", **header: Any) -> str:
    """alg: that of the key."""
    names = {"RSAPrivateKey": "RS256", "ECPrivateKey": "ES256", "Ed25519PrivateKey": "EdDSA"}
    algorithm = header.pop("alg", next(name for kind, name in names.items() if kind in type(key).__name__))
    return jwt.encode(dict(said), key, algorithm, headers={**({} if kid is None else {"kid": kid}), **header})


def part(value: Any) -> str:
    """A part of a token: bytes as they are, else as JSON."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def written(header: Any, said: Any, key: Any = RSA_ONE) -> str:
    """Header and claims as they are written here, signed with RS256."""
    text = f"{part(header)}.{part(said)}"
    signature = jwt.get_algorithm_by_name("RS256").sign(text.encode(), key)
    return f"{text}.{part(signature)}"


def pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


class JwksServer:
    """owns: a server on loopback, what it answers, and how often it was asked. body None: it is away (503). free: set
    unless answers are held back."""

    def __init__(self, body: bytes | None = PUBLISHED) -> None:
        self.body = body
        self.status = 200
        self.asked = 0
        self.dribbles = False
        self.closing = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                assert outer.free.wait(60)
                outer.headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(503 if outer.body is None else outer.status)
                self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(outer.body or b"")
                # What never ends: a byte now and then, until the other side has had enough.
                while outer.dribbles and not outer.closing.wait(0.02):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        break

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> JwksServer:
        return self

    def __exit__(self, *args: object) -> None:
        self.free.set()
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def jwks_file(folder: Path, body: bytes = PUBLISHED) -> Path:
    file = folder / "jwks.json"
    file.write_bytes(body)
    return file

"""The table of attacks on the HTTP surface: bytes as they come over a connection, and the refusal that each gets.

status 0: the connection is closed without an answer. code: of OpenAI's error object, or `OUTCOME/REASON` of a feedback
item; "" where another layer than ours refuses, with words of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.clock import ManualClock
from rejoinder.gateway.tokens import Tokens

#: In every body: found nowhere but in the log of events.
WORDS = "walrus-in-the-fjord"
BODY_BYTES = 20_000
CHAT = "/v1/chat/completions"
SHOWN, OTHER = "shown-interaction", "somebody-elses-interaction"
#: Callers of the gateway, as its file has them.
PRINCIPALS = """
- {principal: chat, token: app-token, roles: [app], tenants: [acme]}
- {principal: hasty, token: admin-token, roles: [admin]}
- {principal: reader, token: auditor-token, roles: [auditor], tenants: ["*"]}
"""


@dataclass(frozen=True)
class Attack:
    name: str
    data: bytes
    status: int
    code: str


def token(folder: Path, now: float, interaction: str = SHOWN, secret: str = "", life_s: float = 3600.0) -> str:
    """A token as the gateway makes it, or under another secret."""
    key = folder / "feedback.key"
    if secret:
        key = folder / "another.key"
        key.write_text(secret)
    tokens = Tokens(key, None, life_s, ManualClock(now), lambda error: None)
    return tokens.of("acme", "ann", "c-1", interaction, ("attempt-1",))[0]


def request(
    method: str,
    path: str,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    length: bool = True,
) -> bytes:
    """As it goes over the connection. length: whether it says the body's."""
    pairs = [("host", "gateway"), *(headers.items() if isinstance(headers, Mapping) else headers)]
    if length:
        pairs.append(("content-length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def said(**more: Any) -> bytes:
    return json.dumps({"model": "assist", "messages": [{"role": "user", "content": WORDS}], **more}).encode()


HASTY = {"authorization": "Bearer admin-token"}
APP = {"authorization": "Bearer app-token", "content-type": "application/json"}


def chat(body: bytes = b"", **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", CHAT, {**APP, **named}, body or said())


def page(tokens: list[str], *events: dict[str, Any], **more: Any) -> bytes:
    """What a page sends: no credentials, its origin."""
    headers = {"origin": "https://chat.example", "content-type": "text/plain;charset=UTF-8"}
    given = events or ({"comment": {"text": WORDS}},)
    return request("POST", "/v1/feedback", headers, json.dumps({"tokens": tokens, "events": given, **more}).encode())


def table(folder: Path, now: float) -> list[Attack]:
    mine = token(folder, now)
    version, payload, mac = mine.split(".")
    other_payload = token(folder, now, OTHER).split(".")[1]
    no_key = {"content-type": "application/json"}
    rating = {"rating": {"number": 1}}
    tight = request("POST", CHAT, APP, said(), length=False)
    chunked = [*APP.items(), ("transfer-encoding", "chunked")]
    return [
        Attack("no credentials", request("POST", CHAT, no_key, said()), 401, "invalid_api_key"),
        Attack("an unknown token", chat(authorization="Bearer guessed"), 401, "invalid_api_key"),
        Attack("a token in the address", request("POST", "/v1/chat/completions?api_key=app-token", no_key, said()), 401,
               "invalid_api_key"),
        Attack("credentials of another kind", chat(authorization="Basic YXBwOnRva2Vu"), 401, "invalid_api_key"),
        Attack("two sets of credentials",
               request("POST", CHAT, [*APP.items(), ("authorization", "Bearer guessed")], said()), 401,
               "invalid_api_key"),
        Attack("a reader that asks for an answer", chat(authorization="Bearer auditor-token"), 403, "role_missing"),
        Attack("a reader that sends feedback",
               request("POST", "/v1/feedback", {**APP, "authorization": "Bearer auditor-token"},
                       json.dumps({"events": [rating]}).encode()), 403, "role_missing"),
        Attack("another tenant by header", chat(x_rejoinder_tenant="beta"), 403, "foreign_tenant"),
        Attack("two tenants",
               request("POST", CHAT,
                       [*APP.items(), ("x-rejoinder-tenant", "acme"), ("x-rejoinder-tenant", "beta")], said()), 400,
               "bad_encoding"),
        Attack("another tenant in feedback",
               request("POST", "/v1/feedback", APP,
                       json.dumps({"events": [{"tenant": "beta", "interaction_id": "i", **rating}]}).encode()), 200,
               "REJECTED/FOREIGN_TENANT"),
        Attack("more calls than its rate lets by", request("GET", "/v1/models", HASTY), 429, "rate_limit_exceeded"),
        Attack("more of them elsewhere", request("GET", "/v1/models/assist", HASTY), 429, "rate_limit_exceeded"),
        Attack("more of them with a body that is too large",
               request("GET", "/v1/models", HASTY, b"x" * (BODY_BYTES + 1)), 429, "rate_limit_exceeded"),
        Attack("a version by its name chooses an arm", chat(said(model="assist-base")), 404, "model_not_found"),
        Attack("a page without a token", page([]), 401, "invalid_api_key"),
        Attack("a token under another key", page([token(folder, now, secret="another secret of a test")]), 401,
               "invalid_feedback_token"),
        Attack("a token with another's payload", page([f"{version}.{other_payload}.{mac}"]), 401,
               "invalid_feedback_token"),
        Attack("a token without a signature", page([f"{version}.{payload}."]), 401, "invalid_feedback_token"),
        Attack("a token of another version", page([f"v0.{payload}.{mac}"]), 401, "invalid_feedback_token"),
        Attack("a token that has expired", page([token(folder, now - 7200)]), 401, "feedback_token_expired"),
        Attack("a token of 9,000 characters", page(["v1." + "A" * 9000]), 401, "invalid_feedback_token"),
        Attack("a page rates what it was not shown", page([mine], {"interaction_id": OTHER, **rating}), 200,
               "REJECTED/FOREIGN_TARGET"),
        Attack("a page names another attempt", page([mine], {"attempt_id": "attempt-2", **rating}), 200,
               "REJECTED/FOREIGN_TARGET"),
        Attack("a page compares with what it was not shown",
               page([mine], {"comparison": {"other_interaction_id": OTHER, "choice": "CHOICE_THIS"}}), 200,
               "REJECTED/FOREIGN_TARGET"),
        Attack("a page speaks for another user", page([mine], {"user_id": "bob", **rating}), 200,
               "REJECTED/INVALID_ARGUMENT"),
        Attack("a page speaks for another tenant", page([mine], {"tenant": "beta", **rating}), 200,
               "REJECTED/INVALID_ARGUMENT"),
        Attack("a page gives itself a place in time", page([mine], {"accepted_at": "2020-01-01T00:00:00Z", **rating}),
               200, "REJECTED/INVALID_ARGUMENT"),
        Attack("a kind that is none", page([mine], {"confession": {"text": WORDS}}), 200, "REJECTED/INVALID_ARGUMENT"),
        Attack("a rating of no number", page([mine], {"rating": {"number": "NaN"}}), 200, "REJECTED/INVALID_ARGUMENT"),
        Attack("101 items", page([mine], *[rating] * 101), 400, "too_long"),
        Attack("65 tokens", page([mine] * 65), 400, "too_long"),
        Attack("a beacon that is too large", page([mine], padding="x" * 65536), 413, "request_too_large"),
        Attack("a body that is too large, said so", chat(said(user="x" * BODY_BYTES)), 413, "request_too_large"),
        Attack("a body that is too large, in chunks",
               request("POST", CHAT, chunked, length=False)
               + b"%x\r\n" % (BODY_BYTES + 1) + b" " * (BODY_BYTES + 1) + b"\r\n0\r\n\r\n", 413, "request_too_large"),
        Attack("a length and chunks",
               request("POST", CHAT, [*chunked, ("content-length", "3")], b"0\r\n\r\n", length=False),
               400, "bad_encoding"),
        Attack("two lengths",
               request("POST", CHAT, [*APP.items(), ("content-length", "3")], said()), 400, ""),
        Attack("a space before the colon", tight.replace(b"\r\n\r\n", b"\r\ncontent-length : 3\r\n\r\n", 1), 400, ""),
        Attack("a header that is none",
               tight.replace(b"\r\n\r\n", b"\r\nx-a: b\r\n\x0bcontent-length: 3\r\n\r\n", 1), 400, ""),
        Attack("a chunk of no length", request("POST", CHAT, chunked, b"zz\r\n", length=False), 400, ""),
        Attack("another coding than chunks",
               request("POST", CHAT, [*APP.items(), ("transfer-encoding", "xchunked")], length=False),
               400, ""),
        Attack("a request line that is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, ""),
        Attack("headers without end", chat(x_a="y" * 40_000), 431, "headers_too_large"),
        Attack("a control character in an id", chat(x_rejoinder_user="a\x85b"), 400, "bad_encoding"),
        Attack("an id without end", chat(x_rejoinder_user="a" * 5000), 400, "too_long"),
        Attack("a form of another page", chat(content_type="text/plain"), 415, "unsupported_media_type"),
        Attack("a body that unpacks", chat(content_encoding="gzip"), 415, "unsupported_media_type"),
        Attack("depth without end", chat(b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"), 400, "bad_encoding"),
        Attack("a number that is none", chat(b'{"temperature": NaN}'), 400, "bad_encoding"),
        Attack("a number beyond all", chat(said(metadata=0).replace(b'"metadata": 0', b'"metadata": 1e999')), 400,
               "bad_encoding"),
        Attack("half a character", chat(b'{"model": "\\ud800"}'), 400, "bad_encoding"),
        Attack("no object", chat(b"[]"), 400, "bad_encoding"),
        Attack("a number of 5,000 digits", chat(b'{"n": ' + b"9" * 5000 + b"}"), 400, "bad_encoding"),
        Attack("choices without end", chat(said(n=100_000)), 400, "integer_out_of_range"),
        Attack("a page of another origin asks first",
               request("OPTIONS", "/v1/feedback",
                       {"origin": "https://evil.example", "access-control-request-method": "POST"}), 400, ""),
        Attack("a page asks to chat", request("OPTIONS", CHAT, {"origin": "https://chat.example"}), 405,
               "method_not_allowed"),
        Attack("another method", request("TRACE", CHAT, APP), 405, "method_not_allowed"),
        Attack("a way up", request("GET", "/v1/models/../../etc/passwd", APP), 404, "model_not_found"),
        Attack("a way that is none", request("GET", "/metrics", APP), 404, "unknown_url"),
    ]  # fmt: skip

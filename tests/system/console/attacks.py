"""The table of attacks on the console: bytes as they come over a connection, and the refusal that each gets.

status 0: the connection is closed without an answer. reason: as the page says it, "" where another layer refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.system.console.world import TOKENS

#: Said by a user, and typed by attackers: in no log, metric or error.
WORDS = "walrus-in-the-fjord"
HOSTILE = f"<script>document.title='{WORDS}'</script><svg onload=alert(1)>"
FORM = {"content-type": "application/x-www-form-urlencoded"}
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Attack:
    name: str
    data: bytes
    status: int
    reason: str


@dataclass(frozen=True)
class Signed:
    """A session: its cookie and the token of its forms."""

    cookie: str
    form: str


def token(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[name][0]}"}


def request(
    method: str,
    path: str,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    length: bool = True,
) -> bytes:
    """As it goes over the connection. length: whether it says the body's."""
    given = [*(headers.items() if isinstance(headers, Mapping) else headers)]
    pairs = [*([] if any(name == "host" for name, _ in given) else [("host", HOST)]), *given]
    if length and method == "POST":
        pairs.append(("content-length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def post(path: str, headers: Mapping[str, str], **fields: str) -> bytes:
    return request("POST", path, {**FORM, **headers}, urlencode(fields).encode())


def cookie(of: Signed) -> dict[str, str]:
    return {"cookie": f"rejoinder_console={of.cookie}"}


def table(ann: Signed, odo: Signed, ended: Signed) -> list[Attack]:
    """ended: a session that was signed out of."""
    admin, label = token("ann"), {"interaction": "i-1-0", "source": "f-i-1-0", "polarity": "sat"}
    fine = urlencode({"generation": "1"}).encode()
    no_form = f"/answers/{'x' * 600}"
    return [
        Attack("nobody", request("GET", "/answers"), 401, ""),
        Attack(
            "a guessed token", request("GET", "/answers", {"authorization": "Bearer guessed"}), 401, "UNAUTHENTICATED"
        ),
        Attack(
            "another kind of credentials",
            request("GET", "/answers", {"authorization": "Basic YTpi"}),
            401,
            "UNAUTHENTICATED",
        ),
        Attack(
            "two tokens", request("GET", "/answers", [*admin.items(), *token("odo").items()]), 401, "UNAUTHENTICATED"
        ),
        Attack("a token in the address", request("GET", f"/answers?token={TOKENS['ann'][0]}"), 401, ""),
        Attack(
            "a token as a cookie",
            request("GET", "/answers", {"cookie": f"rejoinder_console={TOKENS['ann'][0]}"}),
            401,
            "",
        ),
        Attack("a forged session", request("GET", "/answers", {"cookie": "rejoinder_console=" + "A" * 43}), 401, ""),
        Attack("a session that was ended, again", request("GET", "/answers", cookie(ended)), 401, ""),
        Attack("signing in with nothing", post("/sign-in", {}, token=""), 401, ""),
        Attack("signing in with a list of tokens", post("/sign-in", {}, token="a\nb"), 401, ""),
        Attack(
            "signing in from another page",
            post("/sign-in", {"origin": "https://evil.example"}, token="x"),
            403,
            "PERMISSION_DENIED",
        ),
        Attack("an application reads words", request("GET", "/answers", token("app")), 403, "ROLE_MISSING"),
        Attack("an application reads one", request("GET", "/answers/i-1-0", token("app")), 403, "ROLE_MISSING"),
        Attack("an application reads pairs", request("GET", "/pairs", token("app")), 403, "ROLE_MISSING"),
        Attack("an application traces", request("GET", "/trace?id=i-1-0", token("app")), 403, "ROLE_MISSING"),
        Attack("an application reads who looked", request("GET", "/looks", token("app")), 403, "ROLE_MISSING"),
        Attack("an auditor labels", post("/label", token("odo"), **label), 403, "ROLE_MISSING"),
        Attack("an auditor reviews", post("/review", token("odo"), round="1"), 403, "ROLE_MISSING"),
        Attack("an auditor signs", post("/approve", token("odo"), generation="1"), 403, "ROLE_MISSING"),
        Attack("an auditor ends", post("/abort", token("odo"), generation="1"), 403, "ROLE_MISSING"),
        Attack("another tenant's words", request("GET", "/answers?tenant=elsewhere", admin), 403, "FOREIGN_TENANT"),
        Attack("another tenant's answer", request("GET", "/answers/i-1-0", token("eve")), 404, "NOT_FOUND"),
        Attack(
            "another tenant's trace",
            request("GET", "/trace?id=i-1-0&tenant=default", token("eve")),
            403,
            "FOREIGN_TENANT",
        ),
        Attack(
            "another tenant by cookie",
            request("GET", "/answers/i-1-0", {**token("eve"), "cookie": "rejoinder_tenant=default"}),
            404,
            "NOT_FOUND",
        ),
        Attack("a label on another tenant's words", post("/label", token("eve"), **label), 404, "NOT_FOUND"),
        Attack(
            "a label that names another tenant",
            post("/label", token("eve"), tenant="default", **label),
            403,
            "FOREIGN_TENANT",
        ),
        Attack("a form without its token", post("/label", cookie(ann), **label), 403, "PERMISSION_DENIED"),
        Attack(
            "a form with another's token", post("/label", cookie(ann), form=odo.form, **label), 403, "PERMISSION_DENIED"
        ),
        Attack(
            "a form with a guessed token", post("/label", cookie(ann), form="0" * 64, **label), 403, "PERMISSION_DENIED"
        ),
        Attack("a form of an ended session", post("/label", cookie(ended), form=ended.form, **label), 401, ""),
        Attack(
            "a form from another page",
            post("/label", {**cookie(ann), "origin": "https://evil.example"}, form=ann.form, **label),
            403,
            "PERMISSION_DENIED",
        ),
        Attack(
            "a form from a page without origin",
            post("/label", {**cookie(ann), "origin": "null"}, form=ann.form, **label),
            403,
            "PERMISSION_DENIED",
        ),
        Attack(
            "a form from another site",
            post("/label", {**cookie(ann), "sec-fetch-site": "cross-site"}, form=ann.form, **label),
            403,
            "PERMISSION_DENIED",
        ),
        Attack(
            "a form of another kind",
            request("POST", "/label", {**admin, "content-type": "text/plain"}, fine),
            415,
            "INVALID_ARGUMENT",
        ),
        Attack(
            "JSON for a form",
            request("POST", "/label", {**admin, "content-type": "application/json"}, b"{}"),
            415,
            "INVALID_ARGUMENT",
        ),
        Attack(
            "parts for a form",
            request("POST", "/label", {**admin, "content-type": "multipart/form-data"}, b""),
            415,
            "INVALID_ARGUMENT",
        ),
        Attack("a change by link", request("GET", "/abort?generation=1", admin), 405, "INVALID_ARGUMENT"),
        Attack("a strange method", request("DELETE", "/answers", admin), 405, "INVALID_ARGUMENT"),
        Attack(
            "a label of nobody's words",
            post("/label", admin, interaction="i-1-0", source=WORDS, polarity="sat"),
            404,
            "NOT_FOUND",
        ),
        Attack(
            "a label that is none",
            post("/label", admin, interaction="i-1-0", source="f-i-1-0", polarity=WORDS),
            400,
            "INVALID_ARGUMENT",
        ),
        Attack("a reason that is none", post("/label", admin, reason=HOSTILE, **label), 400, "INVALID_ARGUMENT"),
        Attack("words that were not said", post("/label", admin, words=WORDS, **label), 400, "INVALID_ARGUMENT"),
        Attack(
            "a name with a line's end",
            post("/label", admin, interaction="i\n", source="f", polarity="sat"),
            400,
            "BAD_ENCODING",
        ),
        Attack("a signature where nothing waits", post("/approve", admin, generation="1"), 404, "NOT_FOUND"),
        Attack("an end of nothing", post("/abort", admin, generation="1"), 404, "NOT_FOUND"),
        Attack("a generation that is none", post("/abort", admin, generation="1; drop table"), 404, "NOT_FOUND"),
        Attack(
            "a pair of nowhere",
            post("/review", admin, round="../../1", pair=WORDS, verdict="accepted"),
            404,
            "NOT_FOUND",
        ),
        Attack("a round of nowhere", request("GET", "/rounds/..%2f..%2fetc", admin), 404, "NOT_FOUND"),
        Attack("a file of nowhere", request("GET", "/static/..%2f..%2fsettings.py", admin), 404, "NOT_FOUND"),
        Attack("a file by its absolute name", request("GET", "/static/%2fetc%2fpasswd"), 404, "NOT_FOUND"),
        Attack("a page of nowhere", request("GET", "/.git/config", admin), 404, "NOT_FOUND"),
        Attack("a place that is none", request("GET", "/answers?before=%00", admin), 400, "BAD_ENCODING"),
        Attack(
            "a tenant with a line's end", request("GET", "/?tenant=a%0d%0aset-cookie:x=1", admin), 400, "BAD_ENCODING"
        ),
        Attack("a tenant without end", request("GET", f"/?tenant={'x' * 300}", admin), 400, "TOO_LONG"),
        Attack(
            "a tenant that breaks a cookie", post("/tenant", token("eve"), tenant="a; Path=/x"), 403, "FOREIGN_TENANT"
        ),
        Attack("an answer's name without end", request("GET", no_form, admin), 400, "TOO_LONG"),
        Attack("a body that is too large", post("/label", admin, words="x" * 70_000), 413, "TOO_LONG"),
        Attack(
            "a length that lies",
            request(
                "POST", "/label", [*admin.items(), *FORM.items(), ("content-length", "999999999")], b"x", length=False
            ),
            413,
            "TOO_LONG",
        ),
        Attack(
            "two lengths",
            request(
                "POST",
                "/label",
                [*admin.items(), *FORM.items(), ("content-length", "1"), ("content-length", "2")],
                b"xx",
                length=False,
            ),
            400,
            "",
        ),
        Attack(
            "a length beside chunks",
            request(
                "POST",
                "/label",
                [*admin.items(), *FORM.items(), ("content-length", "1"), ("transfer-encoding", "chunked")],
                b"0\r\n\r\n",
                length=False,
            ),
            400,
            "BAD_ENCODING",
        ),
        Attack(
            "a compressed body",
            request("POST", "/label", {**admin, **FORM, "content-encoding": "gzip"}, b"x"),
            415,
            "INVALID_ARGUMENT",
        ),
        Attack(
            "fields without end",
            request("POST", "/abort", {**admin, **FORM}, b"&".join([b"a=1"] * 999)),
            400,
            "INVALID_ARGUMENT",
        ),
        Attack("a head that is too large", request("GET", "/", {**admin, "x-long": "y" * 40_000}), 431, ""),
        Attack("no HTTP at all", b"\x16\x03\x01" + WORDS.encode() + b"\r\n\r\n", 400, ""),
    ]


def never_comes() -> Attack:
    """Its refusal takes as long as the console's patience."""
    headers = [*token("ann").items(), *FORM.items(), ("content-length", "10")]
    return Attack("a body that never comes", request("POST", "/label", headers, length=False), 408, "INVALID_ARGUMENT")

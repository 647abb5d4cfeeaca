"""Who visits and what they may: sign-in, roles, tenant, and that a form is this console's own.

The guard around each request (gateway/guard.py) has judged framing, size and time, and a bearer token where one was
sent. Here a page's cookie becomes the token that signed in, which is read against the token file at every request: one
that was withdrawn ends its sessions.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from starlette.datastructures import Headers

from rejoinder.console.render import Shown, page, rendered
from rejoinder.console.sessions import COOKIE, SECURE_COOKIE, TENANT_COOKIE, Sessions, cookie_in, new_name
from rejoinder.console.sources import TOKEN
from rejoinder.core.errors import InvalidArgument, PermissionDenied, RejoinderError, RoleMissing, Unauthenticated
from rejoinder.core.ids import check_name
from rejoinder.gateway.errors import UnsupportedMedia
from rejoinder.gateway.guard import Answer, Guard, Guarded, HttpCall, media_of
from rejoinder.runtime.call import Principal
from rejoinder.runtime.callers.auth import Listed, Open

#: Roles: of pages without users' words, of those with them, of what changes something.
READ = frozenset({"app", "internal", "admin", "auditor"})
WORDS = frozenset({"admin", "auditor"})
ACT = frozenset({"admin"})
#: Bytes and fields of a form.
FORM_BYTES, FORM_FIELDS = 64 * 1024, 64
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Visit:
    """One request of somebody who may make it. form, query: the first value of each name; every: all of a form's.
    form_token: what this visitor's forms carry. fresh: cookies to set."""

    caller: Principal
    tenant: str
    call: HttpCall
    query: Mapping[str, str]
    form: Mapping[str, str]
    every: Mapping[str, list[str]]
    form_token: str = ""
    fresh: tuple[str, ...] = ()

    def may(self, roles: frozenset[str]) -> bool:
        return bool(self.caller.roles & roles)

    @property
    def sees_words(self) -> bool:
        return self.may(WORDS)

    @property
    def decides(self) -> bool:
        return self.may(ACT)

    def onward(self, path: str, query: Mapping[str, object], part: str = "") -> Shown:
        """To a page, of the tenant that the form was of: another tab may have chosen another since."""
        said = {**query, "tenant": self.tenant} if "tenant" in self.form else query
        return Shown.onward(f"{path}?{urlencode(said)}{part}")


Page = Callable[[Visit], Awaitable[Shown]]


class NotOurForm(PermissionDenied):
    """A request that changes something did not come from a page of this console."""


class SignInNeeded(Unauthenticated):
    """Nobody is signed in."""


class Desk:
    """owns: nothing. auth: as every process reads its callers. secure: pages go over TLS. hosts: further names."""

    def __init__(
        self, guard: Guard, auth: Open | Listed, sessions: Sessions, hosts: tuple[str, ...], secure: bool
    ) -> None:
        self._guard = guard
        self._auth = auth
        self._sessions = sessions
        self._hosts = frozenset(host.lower() for host in hosts)
        self._secure = secure
        self._cookie = SECURE_COOKIE if secure else COOKIE

    @property
    def open_to_all(self) -> bool:
        return isinstance(self._auth, Open)

    def shows(self, name: str, handler: Page, roles: frozenset[str]) -> Guarded:
        """A page that is looked at."""
        return self._guard.route(name, self._wrapped(handler, roles, acts=False), READ, 0, True, self._signed)

    def acts(self, name: str, handler: Page, roles: frozenset[str]) -> Guarded:
        """A form that is sent."""
        return self._guard.route(name, self._wrapped(handler, roles, acts=True), READ, FORM_BYTES, True, self._signed)

    def signs_in(self, name: str) -> Guarded:
        return self._guard.route(name, self._sign_in, READ, FORM_BYTES, anonymous=True)

    def _wrapped(self, handler: Page, roles: frozenset[str], acts: bool) -> Callable[[HttpCall], Awaitable[Answer]]:
        async def answer(call: HttpCall) -> Answer:
            try:
                visit = self._visit(call, acts)
            except SignInNeeded:
                # A form that was sent is not sent again after signing in.
                return page(rendered("login.html", next="/" if acts else call.url), 401)
            if not visit.may(roles):
                raise RoleMissing("this page needs another role", needs=",".join(sorted(roles)))
            shown = await handler(visit)
            return replace(shown.answer(visit), headers=(*shown.headers, *(("set-cookie", c) for c in visit.fresh)))

        return answer

    def _visit(self, call: HttpCall, acts: bool) -> Visit:
        """Raises SignInNeeded, NotOurForm, ForeignTenant."""
        query = _first(_fields(call.url.partition("?")[2]))
        every = _form(call) if acts else {}
        if "authorization" in call.headers and call.caller is not None and not self.open_to_all:
            # A program: no cookie speaks for it, so no page of another origin can.
            TOKEN.set(call.headers["authorization"].partition(" ")[2])
            return self._at_tenant(Visit(call.caller, "", call, query, _first(every), every))
        self._check_origin(call.headers, acts)
        name = cookie_in(call.headers.get("cookie", ""), self._cookie)
        fresh: tuple[str, ...] = ()
        # What htmx loads by itself is nobody's presence.
        caller = self._caller(name, "hx-request" not in call.headers)
        if acts and not self._sessions.is_form_token(name, _first(every).get("form", "")):
            raise NotOurForm("the form is not of this session: go back, load the page again, send it again")
        if not name:
            name = new_name()
            fresh = (self._set(name),)
        token = self._sessions.form_token(name)
        visit = self._at_tenant(Visit(caller, "", call, query, _first(every), every, token, fresh))
        if query.get("tenant"):
            # The links of this page lead on at the same tenant.
            visit = replace(visit, fresh=(*visit.fresh, self._kept(visit.tenant)))
        return visit

    def _caller(self, name: str, there: bool) -> Principal:
        if isinstance(self._auth, Open):
            return self._auth.authenticate((), ())
        token = self._sessions.token(name, there) if name else None
        if token is None:
            raise SignInNeeded("nobody is signed in")
        try:
            caller = self._auth.authenticate((("authorization", f"Bearer {token}"),), ())
        except Unauthenticated:
            self._sessions.end(name)
            raise SignInNeeded("the token is not known any more") from None
        TOKEN.set(token)
        return caller

    def _signed(self, headers: Headers) -> Principal | None:
        """Whose session the cookie is, for their rate; `_visit` judges it."""
        name = cookie_in(headers.get("cookie", ""), self._cookie)
        token = self._sessions.token(name, False) if name else None
        try:
            return None if token is None else self._auth.authenticate((("authorization", f"Bearer {token}"),), ())
        except RejoinderError:
            return None

    def _check_origin(self, headers: Headers, acts: bool) -> None:
        host = headers.get("host", "")
        # Where nobody signs in a browser is trusted for where it runs: a name that somebody made lead here is not.
        if self.open_to_all and not self._is_ours(host):
            raise NotOurForm("this console is not called by that name")
        origin = headers.get("origin")
        elsewhere = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if acts and (elsewhere or foreign):
            raise NotOurForm("the form was sent from another page")
        # A link from elsewhere leads here; an image or a frame there would be a look that nobody had.
        if foreign and headers.get("sec-fetch-dest", "document") != "document":
            raise NotOurForm("another page cannot hold this one")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost" or name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _at_tenant(self, visit: Visit) -> Visit:
        """The tenant that is asked for, else chosen before, else the first that the caller may name."""
        chosen = visit.query.get("tenant") or visit.form.get("tenant")
        if chosen is None:
            chosen = unquote(cookie_in(visit.call.headers.get("cookie", ""), TENANT_COOKIE))
            known = visit.caller.tenants
            if known is not None and chosen not in known:
                chosen = "default" if "default" in known else min(known)
        tenant = chosen or "default"
        check_name("tenant", tenant)
        visit.caller.check_tenant(tenant)
        return replace(visit, tenant=tenant)

    async def _sign_in(self, call: HttpCall) -> Answer:
        self._check_origin(call.headers, True)
        said = _first(_form(call))
        onward = said.get("next", "/")
        onward = onward if _is_local(onward) else "/"
        if isinstance(self._auth, Open):
            return redirect(onward)
        token = said.get("token", "").strip()
        try:
            self._auth.authenticate((("authorization", f"Bearer {token}"),), ())
        except Unauthenticated:
            return page(rendered("login.html", next=onward, failed=True), 401)
        self._sessions.end(cookie_in(call.headers.get("cookie", ""), self._cookie))
        return redirect(onward, self._set(self._sessions.begin(token)))

    async def sign_out(self, visit: Visit) -> Shown:
        self._sessions.end(cookie_in(visit.call.headers.get("cookie", ""), self._cookie))
        return Shown.onward("/", self._set("", life_s=0))

    async def choose_tenant(self, visit: Visit) -> Shown:
        """Keeps what was chosen; `_at_tenant` has judged it."""
        return Shown.onward("/", self._kept(visit.tenant))

    def _kept(self, tenant: str) -> str:
        return self._set(quote(tenant, safe=""), TENANT_COOKIE)

    def _set(self, value: str, name: str = "", life_s: int | None = None) -> str:
        """No script reads it. Lax: a link from elsewhere may lead to a page, and no form from elsewhere has it."""
        ends = "" if life_s is None else f"; Max-Age={life_s}"
        secure = "; Secure" if self._secure else ""
        return f"{name or self._cookie}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{ends}"


def redirect(where: str, *cookies: str) -> Answer:
    headers = (("location", where), *(("set-cookie", cookie) for cookie in cookies))
    return Answer(b"", 303, headers, "text/html; charset=utf-8")


def _is_local(path: str) -> bool:
    """Whether a redirect to it stays here: `//host` and `/\\host` are other hosts to a browser."""
    return path.startswith("/") and path[1:2] not in ("/", "\\") and path.isascii() and path.isprintable()


def _form(call: HttpCall) -> dict[str, list[str]]:
    if media_of(call.headers) != _FORM:
        raise UnsupportedMedia(f"content-type must be {_FORM}", field="content-type")
    return _fields(call.body.decode("ascii", "replace"))


def _fields(text: str) -> dict[str, list[str]]:
    """Raises InvalidArgument for what is no query, or one without end."""
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict")
    except ValueError:
        raise InvalidArgument("the fields cannot be read", field="form") from None


def _first(fields: Mapping[str, list[str]]) -> dict[str, Any]:
    return {name: values[0] for name, values in fields.items()}

"""What surrounds the routes of a process that speaks HTTP: its guard, health, headers of every response, refusals."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rejoinder.core.errors import RejoinderError
from rejoinder.gateway.errors import NoRoute, WrongMethod, error_headers, http_status
from rejoinder.gateway.guard import Guard, Refusal, crowded

_TLS_HEADER = (b"strict-transport-security", b"max-age=31536000")

Header = tuple[bytes, bytes]


def framed(
    routes: Sequence[Route],
    guard: Guard,
    headers: Sequence[Header],
    refusal: Refusal,
    missing: NoRoute,
    misused: WrongMethod,
) -> ASGIApp:
    """The whole application. headers: of every response, beside `no-store` where it says nothing of caches. missing,
    misused: what a path or a method that is none is told."""

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        return JSONResponse({"status": "ok"}) if guard.state is None else refused(guard.state, refusal)

    async def no_route(request: Request, error: Exception) -> Response:
        return refused(missing, refusal)

    async def wrong_method(request: Request, error: Exception) -> Response:
        return refused(misused, refusal)

    health = (Route("/healthz", alive, methods=["GET"]), Route("/readyz", ready, methods=["GET"]))
    handlers = {404: no_route, 405: wrong_method}
    return _Headed(Starlette(routes=[*routes, *health], exception_handlers=handlers), headers)


def refused(error: RejoinderError, refusal: Refusal) -> Response:
    """An error as its caller is told."""
    media, body = refusal(error)
    return Response(body, http_status(error), dict(error_headers(error)), media)


class _Headed:
    """Adds what every response carries; one on a connection too many is the last there."""

    def __init__(self, inner: ASGIApp, headers: Sequence[Header]) -> None:
        self._inner = inner
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extra = [*self._headers, *([_TLS_HEADER] if scope.get("scheme") == "https" else [])]

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                kept = [] if b"cache-control" in names else [(b"cache-control", b"no-store")]
                last = [(b"connection", b"close")] if crowded(scope) and b"connection" not in names else []
                message = {**message, "headers": [*given, *extra, *kept, *last]}
            await send(message)

        await self._inner(scope, receive, headed)

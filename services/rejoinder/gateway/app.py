"""The routes, one row each, and what surrounds all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rejoinder.gateway.chat import Chat
from rejoinder.gateway.errors import NoRoute, WrongMethod
from rejoinder.gateway.feedback import Collect
from rejoinder.gateway.frame import framed, refused
from rejoinder.gateway.guard import Guard, as_json
from rejoinder.gateway.models import Models
from rejoinder.gateway.rerank import Rerank

_APP = frozenset({"app", "internal"})
_READ = frozenset({"app", "internal", "admin", "auditor"})

#: Of every response: nothing here is a page.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True)
class Rooms:
    """What answers."""

    chat: Chat
    models: Models
    rerank: Rerank
    collect: Collect


def app(guard: Guard, rooms: Rooms, max_bytes: int, feedback_bytes: int, origins: Sequence[str]) -> ASGIApp:
    """The whole application. max_bytes: of a body; feedback_bytes: of one from a page. origins: whose pages."""
    ranked = guard.route("POST /v1/rerank", rooms.rerank.rerank, _APP, max_bytes)
    feedback = guard.route("POST /v1/feedback", rooms.collect.collect, _APP, feedback_bytes, anonymous=True)
    routes = [
        Route(
            "/v1/chat/completions",
            guard.route("POST /v1/chat/completions", rooms.chat.complete, _APP, max_bytes),
            methods=["POST"],
        ),
        Route("/v1/models", guard.route("GET /v1/models", rooms.models.all, _READ), methods=["GET"]),
        Route("/v1/models/{model:path}", guard.route("GET /v1/models/", rooms.models.one, _READ), methods=["GET"]),
        # Cohere's clients call the first two, Text Embeddings Inference's the third.
        *(Route(path, ranked, methods=["POST"]) for path in ("/v1/rerank", "/v2/rerank", "/rerank")),
        Route("/v1/feedback", _cors(feedback, origins), methods=["POST", "OPTIONS"]),
    ]
    missing, misused = NoRoute("no such URL"), WrongMethod("the URL has another method")
    return framed(routes, guard, _HEADERS, as_json, missing, misused)


def _cors(feedback: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Beacons are sent with credentials, for which a browser wants the page's own name, not any."""
    if not origins:
        return _Posted(feedback)
    return CORSMiddleware(
        _Posted(feedback),
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=["content-type"],
        allow_credentials="*" not in origins,
        expose_headers=["retry-after"],
        max_age=600,
    )


class _Posted:
    """OPTIONS is the preflight's alone."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await self._inner(scope, receive, send)
        else:
            told = WrongMethod("this page's origin may not send feedback")
            await refused(told, as_json)(scope, receive, send)

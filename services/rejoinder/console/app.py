"""The routes, one row each, and what surrounds all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from rejoinder.console.desk import ACT, READ, WORDS, Desk
from rejoinder.console.pages.answers import Answers
from rejoinder.console.pages.looks import LooksPage
from rejoinder.console.pages.overview import Overview
from rejoinder.console.pages.pairs import Pairs
from rejoinder.console.pages.rollout import RolloutPage
from rejoinder.console.pages.rounds import Rounds
from rejoinder.console.pages.satisfaction import Satisfaction
from rejoinder.console.pages.trace import Trace
from rejoinder.console.render import refusal
from rejoinder.gateway.errors import NoRoute, WrongMethod
from rejoinder.gateway.frame import framed, refused
from rejoinder.gateway.guard import Guard

#: No script but our own file, nothing inline, nothing from anywhere else; nobody frames a page or keeps one.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Pages:
    """What is shown."""

    overview: Overview
    satisfaction: Satisfaction
    answers: Answers
    pairs: Pairs
    rounds: Rounds
    rollout: RolloutPage
    trace: Trace
    looks: LooksPage


def app(guard: Guard, desk: Desk, pages: Pages) -> ASGIApp:
    looked_at = (
        ("/", pages.overview.show, READ),
        ("/satisfaction", pages.satisfaction.show, READ),
        ("/rounds", pages.rounds.many, READ),
        ("/rounds/{number}", pages.rounds.one, READ),
        ("/rollout", pages.rollout.show, READ),
        ("/answers", pages.answers.many, WORDS),
        ("/answers/{interaction:path}", pages.answers.one, WORDS),
        ("/pairs", pages.pairs.show, WORDS),
        ("/trace", pages.trace.show, WORDS),
        ("/looks", pages.looks.show, WORDS),
    )
    sent = (
        ("/label", pages.answers.label, ACT),
        ("/review", pages.pairs.review, ACT),
        ("/approve", pages.rollout.approve, ACT),
        ("/abort", pages.rollout.abort, ACT),
        ("/tenant", desk.choose_tenant, READ),
        ("/sign-out", desk.sign_out, READ),
    )
    routes = [
        *(Route(path, desk.shows(f"GET {path}", show, roles), methods=["GET"]) for path, show, roles in looked_at),
        *(Route(path, desk.acts(f"POST {path}", act, roles), methods=["POST"]) for path, act, roles in sent),
        Route("/sign-in", desk.signs_in("POST /sign-in"), methods=["POST"]),
        Route("/static/{name}", _static(), methods=["GET"]),
    ]
    missing, misused = NoRoute("there is no such page"), WrongMethod("the page has another method")
    return framed(routes, guard, _HEADERS, refusal, missing, misused)


def _static() -> Callable[[Request], Awaitable[Response]]:
    """The files beside this one, read once: a name is looked up among them and leads nowhere else."""
    folder = resources.files("rejoinder.console") / "static"
    kinds = {file.name: _MEDIA.get(file.name.rpartition(".")[2]) for file in folder.iterdir()}
    known = {name: ((folder / name).read_bytes(), media) for name, media in kinds.items() if media}

    async def static(request: Request) -> Response:
        found = known.get(request.path_params["name"])
        if found is None:
            return refused(NoRoute("no such file"), refusal)
        tag = f'"{hashlib.sha256(found[0]).hexdigest()[:32]}"'
        headers = {"etag": tag, "cache-control": "public, max-age=300"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(found[0], media_type=found[1], headers=headers)

    return static

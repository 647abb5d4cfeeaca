"""The server of an example page: `python -m rejoinder.gateway.examples.chat [--gateway URL] [--port 8000]`.

The page asks this server, and this server the gateway, as any application does: the key stays here. Thumbs go from
the page to the gateway's /v1/feedback; the gateway must be told which pages may (`browser.origins`). What the user says
next is found by the gateway itself, in the history of the next request.
"""

from __future__ import annotations

import argparse
import os
import uuid
from importlib import resources

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

FILES = resources.files(__package__)
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
_USER = "chat_example_user"


def app(gateway: str, model: str, key: str) -> Starlette:
    """gateway: its base address, `/v1` included. key: the application's bearer token, "" where none is asked for."""
    client = httpx.AsyncClient(
        base_url=gateway, timeout=60.0, headers={"authorization": f"Bearer {key}"} if key else {}
    )
    # The page may call itself and the gateway, and runs no script but its own file.
    origin = str(httpx.URL(gateway).copy_with(path="/")).rstrip("/")
    rules = f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {origin}; base-uri 'none'"

    async def page(request: Request) -> Response:
        text = (FILES / "chat.html").read_text("utf-8").replace("{{feedback}}", f"{gateway}/feedback")
        made = HTMLResponse(text, headers={**_HEADERS, "content-security-policy": rules})
        if _USER not in request.cookies:
            # A name for one browser; an application says who its user is.
            made.set_cookie(_USER, f"guest-{uuid.uuid4()}", httponly=True, samesite="strict")
        return made

    async def ask(request: Request) -> Response:
        said = await request.json()
        about = {
            "x-rejoinder-user": request.cookies.get(_USER, ""),
            "x-rejoinder-conversation": str(said["conversation"]),
        }
        asked = {"model": model, "messages": said["messages"], "max_tokens": 64}
        answered = await client.post("chat/completions", json=asked, headers=about)
        if answered.status_code != 200:
            return JSONResponse({"error": "nobody answers at the moment"}, 502)
        body = answered.json()
        ours = body["rejoinder"]
        return JSONResponse(
            {
                "text": body["choices"][0]["message"]["content"],
                "interaction": ours["interaction_id"],
                "token": ours.get("feedback_token", ""),
            },
            headers=_HEADERS,
        )

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        media = {"chat.js": "text/javascript", "chat.css": "text/css"}.get(name)
        if media is None:
            return Response(status_code=404)
        return Response((FILES / name).read_bytes(), media_type=media, headers=_HEADERS)

    return Starlette(
        routes=[Route("/", page), Route("/ask", ask, methods=["POST"]), Route("/{name}", file)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.gateway.examples.chat")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080/v1", help="the gateway's base address")
    parser.add_argument("--model", default="assist")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    key = os.environ.get("CHAT_EXAMPLE_KEY", "")
    uvicorn.run(app(given.gateway, given.model, key), host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()

"""The bound: the least that a hop made of our own libraries costs. `python -m loadtests.gateway.hop URL READY`.

Starlette on uvicorn takes a request, httpx asks the server, the answer goes back as it came. Nothing is drawn, checked,
recorded, limited or traced. h11 and asyncio's own loop, as in our images.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import uvicorn
from rejoinder.gateway.server import bind
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loadtests.processes import say_ready


async def serve(url: str, ready: Path) -> None:
    limits = httpx.Limits(max_connections=512, max_keepalive_connections=512)
    client = httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)

    async def chat(request: Request) -> Response:
        headers = {"content-type": "application/json"}
        answer = await client.post(f"{url}/chat/completions", content=await request.body(), headers=headers)
        return Response(answer.content, answer.status_code, media_type="application/json")

    sock = bind("127.0.0.1", 0)
    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    config = uvicorn.Config(
        app, http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None, access_log=False
    )
    say_ready(ready, sock.getsockname()[1])
    await uvicorn.Server(config).serve([sock])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))

"""Infinity's own server in an environment of its own (requirements/infinity.txt):
`… -m loadtests.serve.peers.infinity FOLDER BATCH_SIZE DTYPE READY`.

As its command line starts it but for three things: no BetterTransformer, which does not run there; no warm-up of its
own, for a round that does not count warms it up; and connections are kept for an hour instead of seconds.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn
from infinity_emb import EngineArgs
from infinity_emb.infinity_server import create_server

from loadtests.processes import say_ready


async def main(folder: str, batch_size: str, dtype: str, ready: str) -> None:
    arguments = EngineArgs(
        model_name_or_path=folder,
        served_model_name="m",
        batch_size=int(batch_size),
        engine="torch",
        device="cpu",
        dtype=dtype,
        bettertransformer=False,
        # It would only make the start longer.
        model_warmup=False,
    )
    application = create_server(engine_args_list=[arguments])
    # Callers keep their connections: one that is closed while it rests would be a failed request of the next.
    config = uvicorn.Config(
        application, port=0, loop="uvloop", http="httptools", log_level="warning", timeout_keep_alive=3600
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
            raise SystemExit("it ended before it served")
        await asyncio.sleep(0.05)
    say_ready(Path(ready), server.servers[0].sockets[0].getsockname()[1])
    await serving


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

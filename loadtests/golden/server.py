"""The golden server as a process: `python -m loadtests.golden.server SCRIPT READY`. SCRIPT: JSON of a Script.

It speaks RewardService.Score, where the one response is the request's number.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc
from rejoinder.core.ending import when_told_to_end
from rejoinder.core.errors import QueueFull
from rejoinder.runtime.status import status_of
from rejoinder.v1 import reward_pb2, reward_pb2_grpc

from loadtests.golden.script import Golden, Script
from loadtests.processes import say_ready


class GoldenService(reward_pb2_grpc.RewardServiceServicer):
    def __init__(self, golden: Golden) -> None:
        self._golden = golden

    async def Score(
        self, request: reward_pb2.ScoreRequest, context: grpc.aio.ServicerContext
    ) -> reward_pb2.ScoreResponse:
        loop = asyncio.get_running_loop()
        try:
            answer, done = self._golden.play(int(request.responses[0]), loop.time())
        except QueueFull as error:
            await context.abort(*status_of(error))
        await asyncio.sleep(max(0.0, done - loop.time()))
        return reward_pb2.ScoreResponse(scores=[answer])


async def serve(script: Script, ready: Path) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    reward_pb2_grpc.add_RewardServiceServicer_to_server(GoldenService(Golden(script)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    when_told_to_end(lambda: loop.call_soon_threadsafe(told.set))
    say_ready(ready, port)
    await told.wait()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve(Script.model_validate_json(sys.argv[1]), Path(sys.argv[2])))

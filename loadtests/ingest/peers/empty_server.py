"""An answer without work: what gRPC itself costs a Python server.

    python -m loadtests.ingest.peers.empty_server bare|chassis READY

bare: grpc.aio and the generated servicer, nothing of ours. chassis: with all that surrounds our methods.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path

import grpc
from rejoinder.core.clock import SystemClock
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.logging import event_log
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import ServerSettings
from rejoinder.v1 import feedback_pb2, feedback_pb2_grpc

from loadtests.processes import say_ready


class Empty(feedback_pb2_grpc.FeedbackServiceServicer):
    async def RecordFeedback(self, request: object, call: object) -> feedback_pb2.RecordResponse:
        return feedback_pb2.RecordResponse()


async def bare(path: Path, told: asyncio.Event) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(Empty(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    say_ready(path, port)
    await told.wait()
    await server.stop(1.0)


async def chassis(path: Path, told: asyncio.Event) -> None:
    async def build(chassis: Chassis) -> Room:
        return Room(add=(partial(feedback_pb2_grpc.add_FeedbackServiceServicer_to_server, Empty()),))

    log = event_log("feedback", sys.stderr, False)
    server = Server(ServerSettings(), build, Chassis("feedback", SystemClock(), Metrics(), log))
    await server.start()
    say_ready(path, server.port)
    await told.wait()
    await server.drain()


async def main() -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await {"bare": bare, "chassis": chassis}[sys.argv[1]](Path(sys.argv[2]), told)


if __name__ == "__main__":
    asyncio.run(main())

"""The same ingestion as somebody would write it today, at its best: FastAPI on uvicorn with uvloop and httptools,
pydantic reading the body's bytes, orjson writing the answer, one wake-up of the loop for a request.

    python -m loadtests.ingest.peers.fastapi_server BOOTSTRAP PREFIX READY

It checks types and lengths, stamps, makes the same records under the same headers, and answers when the brokers have
all of a request. It has no deduplication, no authentication, no metrics and no bound on what waits.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, StringConstraints, TypeAdapter
from rejoinder.v1 import common_pb2, events_pb2

from loadtests.ingest.producer import TOPIC, producer_of

Name = Annotated[str, StringConstraints(max_length=256)]
Text = Annotated[str, StringConstraints(max_length=262_144)]


class Body(BaseModel):
    text: Text | None = None
    name: Name | None = None
    number: float | None = None
    scale_min: float | None = None
    scale_max: float | None = None
    candidate_id: Name | None = None
    position: int | None = None
    characters: int | None = None


class Event(BaseModel):
    event_id: Name
    interaction_id: Name = ""
    conversation_id: Name = ""
    turn: int = 0
    user_id: Name = ""
    occurred_at: float
    consent: Name = ""
    source: Name = ""
    kind: Name
    body: Body


EVENTS = TypeAdapter(list[Event])
FIXED = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"dev.rejoinder.feedback.v1"),
    ("ce_source", b"rejoinder/feedback"),
    ("content-type", b"application/protobuf"),
]


def record_of(event: Event, accepted_us: int, traceparent: bytes) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """(value, key, headers)."""
    message = events_pb2.Feedback(
        tenant="default",
        event_id=event.event_id,
        interaction_id=event.interaction_id,
        conversation_id=event.conversation_id,
        turn=event.turn,
        user_id=event.user_id,
        principal="local",
        consent=common_pb2.Consent.Value(f"CONSENT_{event.consent}"),
        source=event.source,
        **{event.kind: {name: value for name, value in event.body.__dict__.items() if value is not None}},
    )
    message.occurred_at.FromMicroseconds(round(event.occurred_at * 1e6))
    message.accepted_at.FromMicroseconds(accepted_us)
    moment = datetime.fromtimestamp(event.occurred_at, UTC).isoformat(timespec="microseconds")
    headers = [
        *FIXED,
        ("ce_id", event.event_id.encode()),
        ("ce_time", moment.replace("+00:00", "Z").encode()),
        ("traceparent", traceparent),
    ]
    return message.SerializeToString(), f"default\0c\0{event.conversation_id}".encode(), headers


class Waiting:
    """The acknowledgements of one request. Told on the library's thread; wakes the loop once."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = count
        self.places: list[Any] = []
        self.done: asyncio.Future[None] = self._loop.create_future()

    def taken(self, metadata: Any) -> None:
        self.places.append((metadata.partition, metadata.offset))
        if len(self.places) == self._count:
            self._loop.call_soon_threadsafe(self.done.set_result, None)

    def refused(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self.done.set_exception, error)


def app_of(bootstrap: str, prefix: str, ready: Path, port: int) -> FastAPI:
    topic = TOPIC.format(prefix)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.producer = await asyncio.to_thread(producer_of, bootstrap, prefix)
        beside = ready.with_suffix(".new")
        beside.write_text(json.dumps({"port": port, "pid": os.getpid()}) + "\n")
        beside.replace(ready)
        yield
        await asyncio.to_thread(app.state.producer.close, 1.0)

    app = FastAPI(lifespan=life)

    @app.post("/v1/feedback")
    async def feedback(request: Request) -> Response:
        events = EVENTS.validate_json(await request.body())
        accepted, traceparent = time.time_ns() // 1000, f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00".encode()
        waiting = Waiting(len(events))
        send = app.state.producer.send
        for event in events:
            value, key, headers = record_of(event, accepted, traceparent)
            send(topic, value, key, headers)._add_cb_eb(waiting.taken, waiting.refused)
        await waiting.done
        results = [{"event_id": event.event_id, "outcome": "RECORDED"} for event in events]
        return Response(orjson.dumps(results), media_type="application/json")

    return app


def main() -> None:
    bootstrap, prefix, ready = sys.argv[1:]
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    app = app_of(bootstrap, prefix, Path(ready), listening.getsockname()[1])
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()

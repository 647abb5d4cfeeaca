"""A user's words, planted in every text field of every RPC, reach no log line, no metric and no error."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import generate_latest
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import UnknownEnum
from rejoinder.core.metrics import Metrics
from rejoinder.feedback.settings import FeedbackSettings
from rejoinder.feedback.validate import TEXTS
from rejoinder.runtime.logging import LineFormatter
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import ServerSettings
from rejoinder.stream.memory import MemoryLog
from rejoinder.v1 import feedback_pb2, ledger_pb2, policy_pb2, rerank_pb2, reward_pb2, rollouts_pb2

from tests.system.ingest.serving import FailingLog, Lines, Running, running

pytestmark = pytest.mark.system

PROTOS = (feedback_pb2, ledger_pb2, policy_pb2, rerank_pb2, reward_pb2, rollouts_pb2)
WORD = "Zebrafink"
WORDS = f"my doctor says {WORD}"
#: Fields of requests that hold words, beside those of events.
MORE_TEXTS = frozenset({"responses", "continuations", "a", "b"})


def methods() -> Iterator[tuple[str, Any]]:
    for proto in PROTOS:
        for service in proto.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


def planted(message: ProtoMessage, depth: int = 0) -> ProtoMessage:
    """The message with words in every text field, at every depth, and plain ids elsewhere."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
            continue
        if field.message_type is not None and depth < 4 and not field.message_type.GetOptions().map_entry:
            if field.message_type.full_name.startswith("google."):
                continue
            inner = getattr(message, field.name)
            planted(inner.add() if field.is_repeated else inner, depth + 1)
            if not field.is_repeated:
                inner.SetInParent()
        elif field.type == FieldDescriptor.TYPE_STRING:
            text = WORDS if field.name in TEXTS | MORE_TEXTS else "x"
            if field.is_repeated:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)
        elif field.type == FieldDescriptor.TYPE_ENUM and not field.is_repeated:
            setattr(message, field.name, 1)
    return message


class Quoting:
    """Servicers of every proto whose methods fail as carelessly as code can: with the request in the exception."""

    def add(self, server: Any) -> None:
        for proto in PROTOS:
            for service in proto.DESCRIPTOR.services_by_name.values():
                handlers = {method.name: self._handler(method) for method in service.methods}
                server.add_registered_method_handlers(service.full_name, handlers)

    def _handler(self, method: Any) -> grpc.RpcMethodHandler:
        async def unary(request: ProtoMessage, call: object) -> None:
            logging.getLogger("somelibrary").warning("could not read %s", request)
            logging.getLogger("rejoinder.room").error("could not read %s", WORDS)
            try:
                raise KeyError(str(request))
            except KeyError as error:
                raise ValueError(f"bad request {request}") from error

        async def stream(request: ProtoMessage, call: object) -> AsyncIterator[None]:
            yield await unary(request, call)

        parse = GetMessageClass(method.input_type).FromString
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, parse, bytes)
        return grpc.unary_unary_rpc_method_handler(unary, parse, bytes)


@asynccontextmanager
async def quoting(formatter: logging.Formatter) -> AsyncIterator[Running]:
    lines, metrics = Lines(), Metrics()
    lines.handler.setFormatter(formatter)
    logging.getLogger().addHandler(lines.handler)

    async def build(chassis: Chassis) -> Room:
        return Room(add=(Quoting().add,))

    server = Server(ServerSettings(grace_s=0.5), build, Chassis("feedback", SystemClock(), metrics, lines.log))
    await server.start()
    out = Running(server, metrics, lines)
    try:
        yield out
    finally:
        await out.channel.close()
        await server.drain()
        logging.getLogger().removeHandler(lines.handler)


async def told(server: Running, path: str, request: ProtoMessage) -> str:
    """All that a caller is told of a failed call."""
    with pytest.raises(grpc.RpcError) as raised:
        await server.raw(path, request.SerializeToString())
    return f"{raised.value.details()} {raised.value.debug_error_string()} {raised.value.trailing_metadata()}"


def printed(server: Running) -> str:
    return server.lines.text + generate_latest(server.metrics.registry).decode()


async def test_no_rpc_of_any_proto_leaks_the_words_of_a_failing_request() -> None:
    async with quoting(LineFormatter("feedback")) as server:
        answers = ""
        for path, method in methods():
            request = planted(GetMessageClass(method.input_type)())
            holds_words = WORD in str(request)
            answers += await told(server, path, request)
            assert holds_words == (path.rsplit("/", 1)[1] in WITH_WORDS), path
        assert server.lines.text.count("event=call_failed") == len(list(methods()))
        assert WORD not in answers
        assert WORD not in printed(server)


#: Which requests carry words: if a proto gains a text field, this says whether the planting found it.
WITH_WORDS = frozenset(
    {"RecordFeedback", "RecordInteractions", "Generate", "Sample", "Likelihood", "Rerank", "Score", "Compare"}
)


async def test_the_search_finds_words_where_library_text_is_let_through() -> None:
    async with quoting(LineFormatter("feedback", library_text=True)) as server:
        path, method = next(methods())
        await told(server, path, planted(GetMessageClass(method.input_type)()))
        assert WORD in printed(server)


async def test_ingest_keeps_words_to_the_log_whether_it_takes_or_refuses_them() -> None:
    async with running(MemoryLog(SystemClock())) as server:
        answers = b""
        for name in ("RecordFeedback", "RecordInteractions"):
            request = planted(getattr(feedback_pb2, f"{name}Request")())
            path = f"/rejoinder.v1.FeedbackService/{name}"
            answers += await server.raw(path, request.SerializeToString())
            long = getattr(feedback_pb2, f"{name}Request")()
            long.events.add().user_id = WORDS * 50
            answers += await server.raw(path, long.SerializeToString())
        assert WORD.encode() not in answers
        assert WORD not in printed(server)


async def test_an_error_of_ours_is_told_with_field_and_limit_only() -> None:
    failing = FailingLog(UnknownEnum("consent", 99))
    async with running(failing, settings=FeedbackSettings()) as server:
        request = feedback_pb2.RecordFeedbackRequest()
        request.events.add(follow_up={"text": WORDS})
        assert WORD not in await told(server, "/rejoinder.v1.FeedbackService/RecordFeedback", request)

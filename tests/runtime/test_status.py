from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from rejoinder.core.errors import NotFound, RejoinderError, UnknownRow
from rejoinder.runtime.interceptors import abort
from rejoinder.runtime.status import DETAILS, as_known, reason_in, status_of
from rejoinder.v1 import error_reason_pb2


def family(cls: type[RejoinderError] = RejoinderError) -> list[type[RejoinderError]]:
    # Those that rooms make of them for HTTP become no gRPC status; whether they are loaded is up to who ran before.
    children = [each for each in cls.__subclasses__() if each.__module__ == RejoinderError.__module__]
    return [cls, *(below for child in children for below in family(child))]


def instance(cls: type[RejoinderError]) -> RejoinderError:
    arguments = {
        "EMPTY_FIELD": ("f",),
        "TOO_LONG": ("f", 2, 1),
        "UNKNOWN_ENUM": ("f", 9),
        "UNKNOWN_ROW": ("k", "n", ()),
    }
    return cls(*arguments.get(cls.reason, ("text",)))


@pytest.mark.parametrize("cls", family(), ids=lambda cls: cls.__name__)
def test_every_class_has_a_status_and_a_reason_that_the_proto_knows(cls: type[RejoinderError]) -> None:
    code, text, trailing = status_of(instance(cls))
    status = status_pb2.Status.FromString(dict(trailing)[DETAILS])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (code.name, info.reason, info.domain) == (cls.status, cls.reason, "rejoinder")
    assert (status.code, status.message) == (code.value[0], text)
    assert f"ERROR_REASON_{cls.reason}" in dict(error_reason_pb2.ErrorReason.items())


def test_a_delay_is_told_as_retry_info() -> None:
    _, _, trailing = status_of(RejoinderError("x", retry_after_s=1.25))
    retry = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(dict(trailing)[DETAILS]).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1250


def test_the_unforeseen_becomes_internal_and_keeps_its_words() -> None:
    code, text, trailing = status_of(as_known(ValueError("my doctor")))
    assert (code, text) == (grpc.StatusCode.INTERNAL, "internal error")
    assert b"doctor" not in dict(trailing)[DETAILS]


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f9ff", "\ud800", "%", "\x00"])
def test_what_an_error_quotes_is_cut_to_what_a_trailer_carries(letter: str) -> None:
    word = letter * 70_000
    for error in (NotFound(f"no {word}", policy=word, known=word, id=word), UnknownRow("group", word, ("day",) * 99)):
        _, text, trailing = status_of(error)
        assert len(text.encode()) <= 1_000
        # As gRPC sends it: three bytes for each that is no printable ASCII, and base64.
        assert len(text.encode()) * 3 + len(dict(trailing)[DETAILS]) * 4 / 3 < 8_000
        assert reason_in(trailing) == error.reason


def test_what_is_short_is_not_cut() -> None:
    words = "é" * 100
    _, text, trailing = status_of(NotFound(words * 5, id=words))
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(dict(trailing)[DETAILS]).details[0].Unpack(info)
    assert (text, info.metadata["id"]) == (words * 5, words)


class Quoting(grpc.GenericRpcHandler):
    """Refuses everything and quotes what it was sent."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def refuse(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            word = request.decode()
            await abort(context, UnknownRow("group", word, (word,)))
            raise AssertionError("abort returns to nobody")

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.fixture
async def quoting() -> AsyncIterator[str]:
    server = grpc.aio.server(handlers=[Quoting()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.system
@pytest.mark.parametrize("letter", ["x", "\U0001f9ff"])
async def test_a_caller_hears_the_reason_however_long_the_name_it_gave(quoting: str, letter: str) -> None:
    async with grpc.aio.insecure_channel(quoting) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            await channel.unary_unary("/any/Method")((letter * 70_000).encode(), timeout=60)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_in(raised.value.trailing_metadata()) == "UNKNOWN_ROW"


def test_a_status_without_details_of_ours_has_no_reason() -> None:
    theirs = error_details_pb2.ErrorInfo(reason="RATE_LIMITED", domain="proxy.example")
    status = status_pb2.Status(code=8)
    status.details.add().Pack(theirs)
    assert reason_in(()) == ""
    assert reason_in([("x", "y"), (DETAILS, status.SerializeToString())]) == ""

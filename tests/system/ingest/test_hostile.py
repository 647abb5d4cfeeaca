"""Malformed and hostile requests: each has its status and reason, and the server serves on after it."""

from __future__ import annotations

import gzip
import math
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from rejoinder.runtime.settings import ServerSettings
from rejoinder.v1 import common_pb2, error_reason_pb2, events_pb2, feedback_pb2

from tests.system.ingest.serving import Running, running

pytestmark = pytest.mark.system

FEEDBACK = "/rejoinder.v1.FeedbackService/RecordFeedback"
INTERACTIONS = "/rejoinder.v1.FeedbackService/RecordInteractions"
MiB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """expect: `STATUS/REASON` of the call, or the item's outcome `REJECTED/REASON/field` or `RECORDED`."""

    name: str
    payload: bytes
    expect: str
    path: str = FEEDBACK


def feedback(**fields: object) -> bytes:
    event = events_pb2.Feedback(**{"interaction_id": "i", "follow_up": events_pb2.FollowUp(text="no"), **fields})
    return feedback_pb2.RecordFeedbackRequest(events=[event]).SerializeToString()


def kind(**fields: object) -> bytes:
    event = events_pb2.Feedback(interaction_id="i", **fields)
    return feedback_pb2.RecordFeedbackRequest(events=[event]).SerializeToString()


def interaction(**fields: object) -> bytes:
    asked = [common_pb2.Message(role="ROLE_USER", content="How warm is it?")]
    event = events_pb2.Interaction(**{"messages": asked, "response": "70 °F", **fields})
    return feedback_pb2.RecordInteractionsRequest(events=[event]).SerializeToString()


def many(count: int) -> bytes:
    one = events_pb2.Feedback(click=events_pb2.Click(candidate_id="c", position=1))
    return feedback_pb2.RecordFeedbackRequest(events=[one] * count).SerializeToString()


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field as it lies on the wire."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


BAD = "INVALID_ARGUMENT/BAD_ENCODING"
CASES = (
    # The wire.
    Case("bytes that are no message", b"\xff\xff\xff\xff", BAD),
    Case("a message cut off", feedback(comment=events_pb2.Comment(text="x" * 100))[:-7], BAD),
    Case("a length of two gigabytes", b"\x0a\xff\xff\xff\xff\x07", BAD),
    Case("groups nested ten thousand deep", b"\x0b" * 10_000, BAD),
    Case("an id that is no UTF-8", field(1, field(2, b"\xff\xfe")), BAD),
    Case("words that are no UTF-8", field(1, field(20, field(1, b"\xed\xa0\x80"))), BAD),
    Case("a field of a later version", feedback() + field(999, b"later"), "RECORDED"),
    Case("two kinds in one event: the last one is what protobuf keeps",
         field(1, field(20, field(1, b"no")) + field(26, b"")), "RECORDED"),
    # The request as a whole.
    Case("no items", b"", "INVALID_ARGUMENT/EMPTY_FIELD"),
    Case("a thousand and one items", many(1001), "INVALID_ARGUMENT/TOO_LONG"),
    Case("a request above our limit", many(1) + field(998, b"x" * MiB), "INVALID_ARGUMENT/TOO_LONG"),
    Case("a request far above our limit", field(998, b"x" * 3 * MiB), "RESOURCE_EXHAUSTED/"),
    Case("a method that does not exist", b"", "UNIMPLEMENTED/", "/rejoinder.v1.FeedbackService/Drop"),
    # Sizes of one item.
    Case("words above the limit", feedback(follow_up=events_pb2.FollowUp(text="é" * 131_073)),
         "REJECTED/TOO_LONG/kind.text"),
    Case("an id above the limit", feedback(event_id="x" * 257), "REJECTED/TOO_LONG/event_id"),
    Case("a name above the limit", kind(outcome=events_pb2.Outcome(name="x" * 257, value=1)),
         "REJECTED/TOO_LONG/kind.name"),
    # Ids that would forge a log line, a path, a direction of reading.
    Case("a line end in an id", feedback(event_id="a\nlevel=info event=paid"), "REJECTED/BAD_ENCODING/event_id"),
    Case("a zero byte in a tenant", feedback(tenant="a\x00b"), "REJECTED/BAD_ENCODING/tenant"),
    Case("a right-to-left override in a user", feedback(user_id="a\u202eb"), "REJECTED/BAD_ENCODING/user_id"),
    # Enums.
    Case("an unknown consent", feedback(consent=99), "REJECTED/UNKNOWN_ENUM/consent"),
    Case("an unknown role", interaction(messages=[common_pb2.Message(role=42, content="x")]),
         "REJECTED/UNKNOWN_ENUM/role", INTERACTIONS),
    Case("an unknown choice", kind(comparison=events_pb2.Comparison(other_interaction_id="j", choice=77)),
         "REJECTED/UNKNOWN_ENUM/choice"),
    # Kinds.
    Case("no kind", kind(), "REJECTED/EMPTY_FIELD/kind"),
    Case("a follow-up of spaces", kind(follow_up=events_pb2.FollowUp(text=" \n ")),
         "REJECTED/EMPTY_FIELD/follow_up.text"),
    Case("a rating without a value", kind(rating=events_pb2.Rating(name="overall")),
         "REJECTED/EMPTY_FIELD/rating.value"),
    # Numbers.
    Case("a rating that is no number", kind(rating=events_pb2.Rating(number=math.nan)),
         "REJECTED/INVALID_ARGUMENT/kind.number"),
    Case("an infinite outcome", kind(outcome=events_pb2.Outcome(name="sale", value=math.inf)),
         "REJECTED/INVALID_ARGUMENT/kind.value"),
    Case("a rating outside its scale", kind(rating=events_pb2.Rating(number=9, scale_min=1, scale_max=5)),
         "REJECTED/INVALID_ARGUMENT/rating.number"),
    # Times.
    Case("a clock that was never set", feedback(occurred_at=Timestamp(seconds=1)),
         "REJECTED/INVALID_ARGUMENT/occurred_at"),
    Case("a time in thirty million years", feedback(occurred_at=Timestamp(seconds=10**15)),
         "REJECTED/BAD_ENCODING/occurred_at"),
    Case("acknowledged before the dedupe time", feedback(accepted_at=Timestamp(seconds=1_600_000_000)),
         "REJECTED/EXPIRED/accepted_at"),
    # Interactions.
    Case("no messages", interaction(messages=[]), "REJECTED/EMPTY_FIELD/messages", INTERACTIONS),
    Case("an empty turn", interaction(messages=[common_pb2.Message(role="ROLE_USER")]),
         "REJECTED/EMPTY_FIELD/messages.content", INTERACTIONS),
    Case("a probability above one", interaction(served=common_pb2.Served(propensity=1.5)),
         "REJECTED/INVALID_ARGUMENT/served.propensity", INTERACTIONS),
)  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running(server=ServerSettings(max_message_bytes=MiB, grace_s=1.0)) as out:
        yield out


def told(error: grpc.RpcError) -> str:
    """`STATUS/REASON` of a failed call."""
    raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    if raw is not None:
        status_pb2.Status.FromString(raw).details[0].Unpack(info)
    return f"{error.code().name}/{info.reason}"


async def answer(server: Running, path: str, payload: bytes) -> str:
    try:
        response = feedback_pb2.RecordResponse.FromString(await server.raw(path, payload))
    except grpc.RpcError as error:
        return told(error)
    result = response.results[0]
    outcome = feedback_pb2.RecordOutcome.Name(result.outcome).removeprefix("RECORD_OUTCOME_")
    if outcome != "REJECTED":
        return outcome
    return f"{outcome}/{error_reason_pb2.ErrorReason.Name(result.reason).removeprefix('ERROR_REASON_')}/{result.field}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_hostile_request_gets_its_status_and_reason(server: Running, case: Case) -> None:
    assert await answer(server, case.path, case.payload) == case.expect
    assert await answer(server, FEEDBACK, feedback()) == "RECORDED"


async def test_a_compressed_bomb_is_refused_by_its_unpacked_size(server: Running) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await server.raw(FEEDBACK, field(998, bytes(64 * MiB)), compression=grpc.Compression.Gzip)
    assert raised.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert await answer(server, FEEDBACK, feedback()) == "RECORDED"


async def test_another_protocol_on_our_port_disturbs_nobody(server: Running) -> None:
    for opening in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", gzip.compress(b"x" * 100), b"\x16\x03\x01\x02\x00\x01\x00"):
        with socket.create_connection(("127.0.0.1", server.server.port), timeout=5) as peer:
            peer.sendall(opening)
            assert await answer(server, FEEDBACK, feedback()) == "RECORDED"


@pytest.mark.parametrize(
    "metadata",
    [(("traceparent", "00-not-a-trace"),), (("authorization", "Bearer " + "x" * 5000),), (("a-bin", b"\xff\x00"),)],
    ids=["a trace that is none", "credentials nobody asked for", "bytes"],
)
async def test_odd_metadata_is_no_reason_to_refuse(server: Running, metadata: tuple[tuple[str, str]]) -> None:
    response = await server.raw(FEEDBACK, feedback(), metadata=metadata)
    assert feedback_pb2.RecordResponse.FromString(response).results[0].outcome == feedback_pb2.RECORD_OUTCOME_RECORDED


async def test_two_requests_in_one_call_are_the_first_one(server: Running) -> None:
    async def twice() -> AsyncIterator[bytes]:
        yield feedback()
        yield feedback()

    call = server.channel.stream_unary(FEEDBACK)(twice(), timeout=60)
    assert len(feedback_pb2.RecordResponse.FromString(await call).results) == 1
    assert await answer(server, FEEDBACK, feedback()) == "RECORDED"

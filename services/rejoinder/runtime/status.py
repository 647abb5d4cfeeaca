"""The error table: an error of `core.errors` as a gRPC status with ErrorInfo and RetryInfo.

An error may quote what a caller named, and gRPC drops a trailer of more than 8 kB, the reason with it: what is quoted
is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from rejoinder.core.errors import RejoinderError

DOMAIN = "rejoinder"
DETAILS = "grpc-status-details-bin"
#: UTF-8 bytes of a message and of one fact. The message travels twice, once with three bytes for one and once in base64
#: with the facts: with five of them some 6 kB at the worst.
MESSAGE_BYTES, FACT_BYTES = 1000, 200


def as_known(error: BaseException) -> RejoinderError:
    """The error itself when it is one of ours; else INTERNAL without a word of it."""
    return error if isinstance(error, RejoinderError) else RejoinderError("internal error")


def status_of(error: RejoinderError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """(code, message, trailing metadata) of an error."""
    facts = {name: _cut(value, FACT_BYTES) for name, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)
    details = [_packed(info)]
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMicroseconds(round(error.retry_after_s * 1_000_000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    text = "internal error" if error.status == "INTERNAL" else _cut(error.message, MESSAGE_BYTES)
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status), message=text, details=details)
    return grpc.StatusCode[error.status], text, ((DETAILS, status.SerializeToString()),)


def reason_in(trailing: Iterable[tuple[str, Any]]) -> str:
    """The reason that one of our services gave; "" where gRPC itself or a proxy ended the call."""
    for key, value in trailing:
        if key == DETAILS:
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return info.reason
    return ""


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8; half a surrogate pair, which no UTF-8 can hold, becomes a question mark."""
    data = text.encode("utf-8", "replace")
    return (data if len(data) <= most else data[: most - 3] + b"...").decode("utf-8", "ignore")


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> AnyMessage:
    out = AnyMessage()
    out.Pack(message)
    return out

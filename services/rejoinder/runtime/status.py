"""The error table: an error of `core.errors` as a gRPC status with ErrorInfo and RetryInfo."""

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


def as_known(error: BaseException) -> RejoinderError:
    """The error itself when it is one of ours; else INTERNAL without a word of it."""
    return error if isinstance(error, RejoinderError) else RejoinderError("internal error")


def status_of(error: RejoinderError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """(code, message, trailing metadata) of an error."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    details = [_packed(info)]
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMicroseconds(round(error.retry_after_s * 1_000_000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    text = "internal error" if error.status == "INTERNAL" else error.message
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


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> AnyMessage:
    out = AnyMessage()
    out.Pack(message)
    return out

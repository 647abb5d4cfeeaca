"""A gRPC status back into the class of `core.errors` that it was, by the reason in its ErrorInfo."""

from __future__ import annotations

from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from rejoinder.core import errors
from rejoinder.core.errors import RejoinderError

_DETAILS = "grpc-status-details-bin"


#: The tree of core/errors.py alone: a room may have a subclass of its own under the same reason.
_BY_REASON = {
    cls.reason: cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, RejoinderError)
}
_BY_STATUS = {
    "UNAVAILABLE": errors.Unavailable,
    # Not by us, or there would be no answer to read: a server that ended cut the call off.
    "CANCELLED": errors.Unavailable,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
    "RESOURCE_EXHAUSTED": errors.ResourceExhausted,
    "INVALID_ARGUMENT": errors.InvalidArgument,
    "NOT_FOUND": errors.NotFound,
    "FAILED_PRECONDITION": errors.FailedPrecondition,
    "ABORTED": errors.Aborted,
    "UNAUTHENTICATED": errors.Unauthenticated,
    "PERMISSION_DENIED": errors.PermissionDenied,
    "DATA_LOSS": errors.DataLoss,
}


#: In the metadata of an error that no server has seen the call of: it may be sent again whatever it does.
UNSENT = {"sent": "no"}
#: How gRPC begins what it says when no connection could carry a call.
_UNSENT_TEXTS = ("connections to all backends failing", "failed to connect to all addresses", "DNS resolution failed")


def error_of(failure: grpc.RpcError) -> RejoinderError:
    """The error of a failed call. Without details (a proxy, a lost connection) the status says the class."""
    status = failure.code().name
    info, delay_s = _details(failure)
    if info is None and status == "UNAVAILABLE" and (failure.details() or "").startswith(_UNSENT_TEXTS):
        return _made(errors.Unavailable, failure.details(), None, {"grpc_status": status, **UNSENT})
    if info is None:
        return _made(_BY_STATUS.get(status, RejoinderError), failure.details() or status, None, {"grpc_status": status})
    cls = _BY_REASON.get(info.reason) or _BY_STATUS.get(status, RejoinderError)
    return _made(cls, failure.details() or info.reason, delay_s, dict(info.metadata))


def _details(failure: Any) -> tuple[error_details_pb2.ErrorInfo | None, float | None]:
    raw = next((value for key, value in failure.trailing_metadata() or () if key == _DETAILS), None)
    info: error_details_pb2.ErrorInfo | None = None
    delay_s: float | None = None
    if raw is not None:
        for detail in status_pb2.Status.FromString(raw).details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo.FromString(detail.value)
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo.FromString(detail.value)
                delay_s = retry.retry_delay.ToMicroseconds() / 1_000_000
    return (info if info is not None and info.domain == "rejoinder" else None), delay_s


def _made(
    cls: type[RejoinderError], message: str, retry_after_s: float | None, metadata: dict[str, str]
) -> RejoinderError:
    # Some classes make their message from fields; here it is known already, so the base is filled directly.
    error = cls.__new__(cls)
    RejoinderError.__init__(error, message, retry_after_s=retry_after_s)
    error.metadata = metadata
    return error

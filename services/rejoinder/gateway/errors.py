"""An error of `core.errors` as OpenAI's clients expect it: HTTP status, `{"error": {message, type, param, code}}`,
Retry-After. Nothing else in this room makes a status.
"""

from __future__ import annotations

import math
from typing import Any

from rejoinder.core.errors import InvalidArgument, NotFound, RejoinderError, TooLong, Unauthenticated

#: Of each gRPC status. A failed precondition is no 409: OpenAI's clients try a 409 again.
STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
#: Seconds that a caller waits where the error says none.
_WAITS = {429: 1.0, 503: 1.0}


class BadParameter(InvalidArgument):
    """param: the request's field at fault. code: OpenAI's word for it."""

    def __init__(self, message: str, param: str, code: str | None = None) -> None:
        super().__init__(message, field=param)
        self.code = code


class ModelNotFound(NotFound):
    code = "model_not_found"

    def __init__(self) -> None:
        super().__init__("the model does not exist, or this caller may not name it", field="model")


class NoRoute(NotFound):
    code = "unknown_url"


class WrongMethod(InvalidArgument):
    code, http = "method_not_allowed", 405


class HeadTooLarge(TooLong):
    code, http = "headers_too_large", 431


class BodyTooLarge(TooLong):
    code, http = "request_too_large", 413


class BodyTooSlow(InvalidArgument):
    code, http = "request_timeout", 408


class UnsupportedMedia(InvalidArgument):
    code, http = "unsupported_media_type", 415


class BadToken(Unauthenticated):
    code = "invalid_feedback_token"


class TokenExpired(Unauthenticated):
    code = "feedback_token_expired"


class UpstreamRefused(RejoinderError):
    """The server behind us does not take our own credentials, or answered with what is no answer."""

    status, reason = "UNAVAILABLE", "UNAVAILABLE"
    code, http = "bad_gateway", 502


class UpstreamAnswered(RejoinderError):
    """The server behind us refused the request itself: its caller reads the refusal as it is. status: HTTP's. body:
    OpenAI's object. retry_after: the header, "" without one."""

    status, reason = "UNAVAILABLE", "UNAVAILABLE"

    def __init__(self, http: int, body: dict[str, Any], retry_after: str) -> None:
        super().__init__("the server behind the gateway refused the request")
        self.http = http
        self.body = body
        self.retry_after = retry_after


def http_status(error: RejoinderError) -> int:
    return getattr(error, "http", 0) or STATUSES.get(error.status, 500)


def error_body(error: RejoinderError) -> dict[str, Any]:
    """OpenAI's object. An unforeseen error says nothing."""
    if isinstance(error, UpstreamAnswered):
        return error.body
    status = http_status(error)
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = getattr(error, "code", None) or ("invalid_api_key" if status == 401 else error.reason.lower())
    param = error.metadata.get("field")
    message = "internal error" if status == 500 else error.message[:1000]
    return {
        "error": {
            "message": message,
            "type": kind,
            "param": param.removeprefix("sampling.") if param else None,
            "code": code,
        }
    }


def error_headers(error: RejoinderError) -> list[tuple[str, str]]:
    if isinstance(error, UpstreamAnswered):
        return [("retry-after", error.retry_after)] if error.retry_after else []
    status = http_status(error)
    headers = [("www-authenticate", "Bearer")] if status == 401 else []
    wait = error.retry_after_s if error.retry_after_s is not None else _WAITS.get(status)
    if wait is not None:
        # Whole seconds, as the header has them; OpenAI's clients read the finer one first.
        headers += [("retry-after", str(max(1, math.ceil(wait)))), ("retry-after-ms", str(round(wait * 1000)))]
    return headers

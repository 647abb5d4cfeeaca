from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from rejoinder.core.errors import RejoinderError
from rejoinder.runtime.status import DETAILS, as_known, status_of
from rejoinder.v1 import error_reason_pb2


def family(cls: type[RejoinderError] = RejoinderError) -> list[type[RejoinderError]]:
    return [cls, *(below for child in cls.__subclasses__() for below in family(child))]


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

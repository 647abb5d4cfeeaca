"""gateway/shed: which bytes are one plain request, and that whoever finds no room is told what the guard would say."""

from __future__ import annotations

import json
import logging

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.metrics import Metrics
from rejoinder.gateway.errors import error_headers
from rejoinder.gateway.guard import Guard, as_json
from rejoinder.gateway.shed import Shed, is_one
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import Open
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.settings import RateSettings
from rejoinder.runtime.tracing import tracer

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
PLAIN = LINE + b"Host: a\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("data", "is_plain"),
    [
        (PLAIN, True),
        (PLAIN.replace(b": 2", b":2"), True),
        (PLAIN[:-1], False),
        (PLAIN + b"P", False),
        (PLAIN[:-6], False),
        (PLAIN.replace(b"Content-Length: 2\r\n", b""), False),
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\ncontent-length: 3"), False),
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\nTransfer-Encoding: chunked"), False),
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\nExpect: 100-continue"), False),
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\nConnection: close"), False),
        (PLAIN.replace(b"Length: 2", b"Length : 2"), False),
        (PLAIN.replace(b"Length: 2", b"Length: +2"), False),
        (PLAIN.replace(b"Length: 2", b"Length: 2, 2"), False),
        (PLAIN.replace(b"Length: 2", b"Length: " + b"0" * 5000 + b"2"), False),
        (PLAIN.replace(b"Host: a", b"x-Content-Length: a"), False),
        (b"\r\n\r\n", False),
    ],
)
def test_one_plain_request_is_taken_for_one_and_nothing_else_is(data: bytes, is_plain: bool) -> None:
    assert is_one(data) is is_plain


def test_who_finds_no_room_is_told_as_the_guard_tells_it_and_counted() -> None:
    metrics, clock = Metrics(), ManualClock()
    guard = Guard(
        auth=Open(),
        rates=Rates(RateSettings(), clock, metrics),
        admission=Admission(1, 0.1, metrics),
        tracer=tracer(),
        metrics=metrics,
        clock=clock,
        log=EventLog(logging.Logger("gateway", logging.CRITICAL)),
        head_bytes=16_384,
        body_s=60.0,
        max_call_s=60.0,
    )
    shed = Shed(guard, metrics, "/v1/chat/completions", ((b"x-frame-options", b"DENY"),))
    with guard.admission.slot():
        assert shed.refusal(PLAIN, ()) == b"", "it is starting, which is another refusal"
        guard.open()
        assert shed.refusal(PLAIN.replace(b"chat", b"chit"), ()) == b""
        assert shed.refusal(PLAIN + PLAIN, ()) == b""
        head, _, body = shed.refusal(PLAIN, ((b"date", b"now"),)).partition(b"\r\n\r\n")
    assert shed.refusal(PLAIN, ()) == b"", "there is room again"
    status, *lines = head.decode().split("\r\n")
    error = guard.admission.refusal()
    assert status == "HTTP/1.1 429 Too Many Requests"
    assert {*error_headers(error)} < {tuple(line.split(": ")) for line in lines}
    assert {"date: now", "x-frame-options: DENY", f"content-length: {len(body)}"} < {*lines}
    assert body == as_json(error)[1]
    assert json.loads(body)["error"]["code"] == "queue_full"
    assert metrics.value("rpc_errors_total", method="POST /v1/chat/completions", reason="QUEUE_FULL") == 1

"""The events of the bench: what people do, in the mix and lengths of chats; the same number is the same event in every
row, under an id of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from rejoinder.core import codec, types
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import NewRecord
from rejoinder.v1 import feedback_pb2

SOURCE = "rejoinder/feedback"
#: 2026-01-01, seconds since the epoch: when the first event happened.
BEGAN = 1_767_225_600.0
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-00"
_SAID = (
    "no that is not what I asked for please give the temperature in Celsius and say where it was measured thanks "
    "perfect could you make it shorter still wrong the second part works now try again with the newer version"
)


def event(name: str, number: int) -> types.Feedback:
    """The event of a number in the row called `name`."""
    draw = random.Random(number)
    return types.Feedback(
        event_id=f"{name}-{number:08d}-{draw.getrandbits(64):016x}",
        interaction_id=f"0199a3c2-7d1e-7000-8000-{draw.getrandbits(48):012x}",
        conversation_id=f"c-{draw.randrange(5000):06d}",
        turn=draw.randrange(1, 12),
        user_id=f"user-{draw.randrange(2000):05d}",
        occurred_at=BEGAN + number / 100,
        consent=types.Consent.TRAIN,
        source="serve",
        kind=_kind(draw),
    )


def _kind(draw: random.Random) -> types.Kind:
    share = draw.random()
    if share < 0.5:
        return types.FollowUp(_text(draw))
    if share < 0.7:
        return types.Rating("helpful", number=float(draw.randrange(1, 6)), scale_min=1.0, scale_max=5.0)
    if share < 0.8:
        return types.Comment(_text(draw))
    if share < 0.9:
        return types.Click(f"doc-{draw.randrange(10**6):06d}", draw.randrange(1, 10))
    return types.Copy(draw.randrange(1, 2000))


def _text(draw: random.Random) -> str:
    return " ".join(draw.choices(_SAID.split(), k=draw.randrange(4, 40)))


def requests(name: str, first: int, count: int, size: int) -> Iterator[bytes]:
    """RecordFeedbackRequests of `size` events each, as they lie on the wire."""
    for start in range(first, first + count, size):
        events = [codec.to_proto(event(name, n)) for n in range(start, min(start + size, first + count))]
        yield feedback_pb2.RecordFeedbackRequest(events=events).SerializeToString()


def plain(event: types.Feedback) -> dict[str, Any]:
    """What an HTTP service is sent: the same fields as JSON, unset ones left out."""
    said = {k: v for k, v in asdict(replace(event, kind=None)).items() if v not in ("", None, b"", 0)}
    kind = {k: v for k, v in asdict(event.kind).items() if v not in ("", None, ())} if event.kind else {}
    return {**said, "kind": event.kind_name, "body": kind}


def record(event: types.Feedback) -> NewRecord:
    """The record that our service makes of an event."""
    taken = replace(event, tenant="default", accepted_at=BEGAN + 86_400.123456, principal="local")
    return record_of(taken, SOURCE, TRACEPARENT)

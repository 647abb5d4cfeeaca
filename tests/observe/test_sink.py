"""observe/sink: what the service says of single events."""

from __future__ import annotations

import pytest
from rejoinder.clients.feedback import RecordResult
from rejoinder.core.errors import PASSING, Quota
from rejoinder.core.types import Feedback, FollowUp, RecordOutcome
from rejoinder.observe.settings import IntoTheme
from rejoinder.observe.sink import CallSink, ServiceSink

SAID = [Feedback(event_id=name, interaction_id="i", kind=FollowUp("no")) for name in ("taken", "above", "odd")]
TOLD = [
    RecordResult("taken", "i", RecordOutcome.RECORDED, "", "", None),
    RecordResult("above", "i", RecordOutcome.REJECTED, "QUOTA", "user_id", None),
    RecordResult("odd", "i", RecordOutcome.REJECTED, "EMPTY_FIELD", "", None),
]


def test_events_above_a_quota_are_sent_again_later_and_never_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = ServiceSink(IntoTheme())
    try:
        monkeypatch.setattr(sink, "_role_checked", True)
        monkeypatch.setattr(sink._client, "record_feedback", lambda events: TOLD)
        with pytest.raises(Quota) as raised:
            sink.record("feedback", SAID)
        assert isinstance(raised.value, PASSING)
        monkeypatch.setattr(sink._client, "record_feedback", lambda events: [TOLD[0], TOLD[2]])
        assert [reason for _, reason in sink.record("feedback", SAID[::2])] == ["", "EMPTY_FIELD"]
    finally:
        sink.close()


async def test_whoever_posts_above_a_quota_is_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(events: object, deadline_s: float) -> list[RecordResult]:
        return TOLD

    sink = CallSink(IntoTheme())
    try:
        monkeypatch.setattr(sink._client, "record_feedback", answer)
        with pytest.raises(Quota) as raised:
            await sink.record(SAID, 60.0)
        assert raised.value.retry_after_s
    finally:
        await sink.close()

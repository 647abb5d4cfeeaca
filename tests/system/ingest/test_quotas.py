"""Quotas over gRPC: the standard status with its delay, nothing lost or doubled, tenants apart (F15, U19)."""

from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.clients import AsyncFeedbackClient
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Quota
from rejoinder.core.types import Feedback, FollowUp, RecordOutcome
from rejoinder.feedback.settings import FeedbackSettings, QuotaTheme, RateTheme
from rejoinder.runtime.settings import AuthSettings, ServerSettings
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog

from tests.patient import Patient
from tests.system.ingest.serving import running

pytestmark = pytest.mark.system

CALLERS = """
- {principal: acme-app, token: one, roles: [app], tenants: [acme]}
- {principal: both-app, token: two, roles: [app], tenants: [acme, other]}
"""


def said(event_id: str, tenant: str = "acme", user: str = "") -> Feedback:
    return Feedback(tenant=tenant, event_id=event_id, interaction_id="i", user_id=user, kind=FollowUp("no, in Celsius"))


async def test_u19_a_tenant_over_its_quota_waits_as_told_and_another_one_does_not(tmp_path: Path) -> None:
    callers = tmp_path / "callers.yaml"
    callers.write_text(CALLERS)
    server_settings = ServerSettings(auth=AuthSettings(file=callers), grace_s=1.0)
    quota = QuotaTheme(tenants={"acme": RateTheme(events_per_s=2.0, burst_s=1.0)}, user=RateTheme(events_per_s=0.01))
    settings = FeedbackSettings(server=server_settings, quota=quota)
    clock = ManualClock()
    log = MemoryLog(clock)
    async with running(log, server_settings, settings, clock) as server:
        once = AsyncFeedbackClient(Patient(server.target, token="one", tries=1))
        both = AsyncFeedbackClient(Patient(server.target, token="two", tries=1))
        async with once, both:
            first = await once.record_feedback([said(f"e{n}") for n in range(6)])
            assert {r.outcome for r in first} == {RecordOutcome.RECORDED}
            with pytest.raises(Quota) as raised:
                await once.record_feedback([said("e6")])
            # Six were taken where two were there: five are missing to one, at two a second.
            assert raised.value.retry_after_s == pytest.approx(2.5)
            assert raised.value.metadata == {"limit": "tenant"}
            mixed = await both.record_feedback(
                [said("e6"), said("o1", "other", "mallory"), said("o2", "other", "mallory")]
            )
            assert [(r.outcome.value, r.reason) for r in mixed] == [
                ("REJECTED", "QUOTA"),
                ("RECORDED", ""),
                ("REJECTED", "QUOTA"),
            ]
            # The same event under the same id: it was not recorded, and now it is, once.
            clock.advance(raised.value.retry_after_s)
            (late,) = await once.record_feedback([said("e6")])
            assert late.outcome is RecordOutcome.RECORDED
        limited = {limit: server.metrics.value("ingest_limited_total", limit=limit) for limit in ("tenant", "user")}
        assert limited == {"tenant": 2, "user": 1}
        assert "mallory" not in server.lines.text
    ids = [event_of(r).event_id for part in log.end_offsets("feedback") for r in log.read("feedback", part, 0)]
    assert sorted(ids) == sorted([*(f"e{n}" for n in range(7)), "o1"])

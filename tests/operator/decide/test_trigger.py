"""decide/trigger: any of them, and none before the least interval has passed."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder_operator.api.loops import Trigger
from rejoinder_operator.decide.trigger import Evidence, due

#: 2023-11-14 22:13:20 UTC.
NOW = 1_700_000_000.0
HOUR = 3600.0


def trigger(**fields: Any) -> Trigger:
    return Trigger.model_validate({"minInterval": "6h", **fields})


@pytest.mark.parametrize(
    ("fields", "evidence", "last_at", "why"),
    [
        ({"minEvidence": 10}, Evidence(10), None, "Evidence"),
        ({"minEvidence": 10}, Evidence(9), None, ""),
        ({"minEvidence": 10}, None, None, ""),
        ({"minEvidence": 10}, Evidence(99), NOW - 5 * HOUR, ""),
        ({"minEvidence": 10}, Evidence(99), NOW - 6 * HOUR, "Evidence"),
        ({"schedule": "0 3 * * *"}, None, NOW - 24 * HOUR, "Schedule"),
        ({"schedule": "0 3 * * *"}, None, NOW - 7 * HOUR, ""),
        ({"schedule": "0 3 * * *"}, None, None, ""),
        ({"satisfactionBelow": {"value": "0.7"}}, Evidence(0, 0.69, 50), None, "Satisfaction"),
        ({"satisfactionBelow": {"value": "0.7"}}, Evidence(0, 0.69, 49), None, ""),
        ({"satisfactionBelow": {"value": "0.7"}}, Evidence(0, 0.70, 50), None, ""),
        ({"satisfactionBelow": {"value": "0.7"}}, Evidence(0), None, ""),
    ],
)
def test_a_round_begins_when_a_trigger_holds_and_the_interval_has_passed(
    fields: dict[str, Any], evidence: Evidence | None, last_at: float | None, why: str
) -> None:
    assert due(trigger(**fields), evidence, last_at, NOW - HOUR, NOW).why == why


def test_the_next_moment_is_told() -> None:
    found = due(trigger(schedule="0 3 * * *"), None, None, NOW - HOUR, NOW)
    assert found.at == NOW + 4 * HOUR + 46 * 60 + 40
    waits = due(trigger(minEvidence=1), Evidence(9), NOW - HOUR, 0.0, NOW)
    assert waits.at == NOW + 5 * HOUR


def test_a_schedule_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="cron"):
        due(trigger(schedule="soon"), None, None, NOW, NOW)

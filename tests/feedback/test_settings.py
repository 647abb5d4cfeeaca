from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.feedback.settings import FeedbackSettings, LogTheme
from rejoinder.runtime.kafkatheme import KafkaTheme, OwnTopicsTheme
from rejoinder.runtime.settings import load


def test_the_defaults_are_a_laptops() -> None:
    settings = load(FeedbackSettings, "feedback", None, {})
    settings.check()
    assert (settings.log.kind, settings.server.host, settings.processes) == ("sqlite", "127.0.0.1", 1)


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"PRODUCTION": "1", "LOG__KIND": "memory"}, "memory"),
        ({"PROCESSES": "2"}, "Kafka"),
        ({"LOG__RETENTION_S": "5000000"}, "dedupe_s"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(env: dict[str, str], named: str) -> None:
    settings = load(FeedbackSettings, "feedback", None, {f"REJOINDER_FEEDBACK__{k}": v for k, v in env.items()})
    with pytest.raises(BadSettings, match=named):
        settings.check()


def test_several_processes_share_a_log_on_kafka_only() -> None:
    FeedbackSettings(processes=3, production=True, log=LogTheme(kind="kafka")).check()
    for kind in ("sqlite", "memory"):
        with pytest.raises(BadSettings, match="one owner: 3 processes need Kafka"):
            FeedbackSettings(processes=3, log=LogTheme(kind=kind)).check()


def test_the_dedupe_time_is_held_against_the_logs_own_retention() -> None:
    long = KafkaTheme(retention_s=50 * 86_400.0)
    FeedbackSettings(log=LogTheme(kind="sqlite", kafka=long)).check()
    with pytest.raises(BadSettings, match="dedupe_s"):
        FeedbackSettings(log=LogTheme(kind="kafka", kafka=long)).check()


def test_tenants_have_topics_of_their_own_on_kafka_only_and_the_longest_retention_counts() -> None:
    own = KafkaTheme(tenants={"acme": OwnTopicsTheme(retention_s=50 * 86_400.0)})
    for kind in ("sqlite", "memory"):
        with pytest.raises(BadSettings, match=f"log.kind {kind} has one owner and no topics of single tenants"):
            FeedbackSettings(log=LogTheme(kind=kind, kafka=own)).check()
    with pytest.raises(BadSettings, match="dedupe_s"):
        FeedbackSettings(log=LogTheme(kind="kafka", kafka=own)).check()
    FeedbackSettings(log=LogTheme(kind="kafka", kafka=own, dedupe_s=51 * 86_400.0)).check()


def test_memory_is_for_trying_out_and_sqlite_for_keeping() -> None:
    FeedbackSettings(log=LogTheme(kind="memory")).check()
    FeedbackSettings(production=True, log=LogTheme(path=Path("/var/lib/rejoinder/log.db"))).check()


def test_every_setting_is_described() -> None:
    for theme in FeedbackSettings.model_json_schema()["$defs"].values():
        for name, field in theme["properties"].items():
            assert field.get("description") or "$ref" in field, name

"""stream/kafka/topics: brokers that have not all heard of a topic yet."""

from __future__ import annotations

import types

import pytest
from rejoinder.core.errors import LogUnavailable
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.kafka.topics import prepare, wanted
from rejoinder.stream.topics import Topic

TOPIC = Topic("arms", dict, compacted=True, partitions=1)


class Admin:
    """Brokers of which each look asks the next; `late` of them tell a topic's place and not its settings."""

    def __init__(self, settings: KafkaSettings, late: int) -> None:
        self._manager = types.SimpleNamespace(cluster=types.SimpleNamespace(brokers=list))
        self._settings = settings
        self._late = late
        self.looks = 0

    def list_topics(self) -> list[str]:
        return []

    def describe_topics(self, names: list[str]) -> list[dict]:
        nodes = list(range(self._settings.replication))
        return [{"name": name, "error_code": 0, "partitions": [{"replica_nodes": nodes}]} for name in names]

    def describe_configs(self, resources: list, config_filter: str) -> dict:
        self.looks += 1
        told = {name: {"value": value} for name, value in wanted(TOPIC, self._settings).items()}
        return {"topic": {resource.name: told if self.looks > self._late else {} for resource in resources}}


def test_settings_that_a_broker_does_not_know_yet_are_asked_for_again():
    """It ended the process with a KeyError, once in a run of three brokers on a busy machine."""
    settings = KafkaSettings(bootstrap="127.0.0.1:1", request_s=5.0)
    admin = Admin(settings, late=2)
    prepare(admin, {"arms": TOPIC}, settings)
    assert admin.looks == 3


def test_settings_that_nobody_tells_end_as_a_log_that_is_away():
    settings = KafkaSettings(bootstrap="127.0.0.1:1", request_s=0.3)
    with pytest.raises(LogUnavailable, match="no broker tells the settings"):
        prepare(Admin(settings, late=10**6), {"arms": TOPIC}, settings)

from __future__ import annotations

import importlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from rejoinder.core.errors import BadSettings, LogUnavailable
from rejoinder.runtime.kafkatheme import KafkaGuestTheme, KafkaTheme
from rejoinder.runtime.settings import Theme
from rejoinder.stream.kafka.log import _refused
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.topics import OwnTopics


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bootstrap": ""}, "bootstrap"),
        ({"partitions": 0}, "partitions"),
        ({"replication": 1, "min_insync": 2}, "min_insync"),
        ({"sasl": "PLAIN", "user": "u", "password_file": Path("p")}, "SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"sasl": "SCRAM-SHA-512", "user": "u"}, "password_file go together"),
        ({"user": "u"}, "go together"),
        ({"tls": True, "cert_file": Path("c")}, "key_file go together"),
        ({"ca_file": Path("c")}, r"need kafka\.tls"),
        ({"session_timeout_s": 70.0}, "poll_interval_s"),
        ({"delivery_s": 0.0}, "delivery_s must be above zero"),
        ({"linger_s": -1.0}, "linger_s"),
        # Another installation's shared topics would be this one's tenant's.
        ({"prefix": "rejoinder.tenant.acme"}, "part tenant"),
        ({"tenants": {"": OwnTopics()}}, "an empty name"),
        ({"tenants": {"t" * 230: OwnTopics()}}, "characters, of 249 at most"),
        ({"tenants": {"a\nb": OwnTopics()}}, "control character"),
        ({"tenants": {"acme": OwnTopics(partitions=0)}}, "partitions must be from 1"),
        ({"tenants": {"acme": OwnTopics(retention_s=0.0)}}, "retention_s must be above zero"),
        ({"tenants": {"acme": OwnTopics(generation=0)}}, "generation must be 1 or more"),
    ],
)
def test_what_contradicts_itself_is_refused_and_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        KafkaSettings(**changed)


def test_a_process_has_the_same_fields_with_the_same_defaults() -> None:
    assert KafkaTheme().model_dump() == {
        field.name: getattr(KafkaSettings(), field.name) for field in fields(KafkaSettings)
    }
    KafkaSettings(**KafkaTheme().model_dump())


def test_every_setting_is_described() -> None:
    for name, field in KafkaTheme.model_json_schema()["properties"].items():
        assert field.get("description"), name


def test_only_a_refusal_that_the_brokers_spoke_out_is_a_wrong_password() -> None:
    """A broker that restarts hangs up too."""
    of = KafkaSettings(sasl="SCRAM-SHA-512", user="feedback", password_file=Path("p"))
    hung_up = _refused([KafkaConnectionError("socket disconnected")], of)
    assert type(hung_up) is LogUnavailable
    assert "kafka.password_file" in str(hung_up)
    assert type(_refused([SaslAuthenticationFailedError("no")], of)) is BadSettings


def test_who_takes_topics_as_they_are_does_so_whatever_else_is_said() -> None:
    assert not KafkaGuestTheme(bootstrap="elsewhere:9092").make_topics
    assert {**KafkaTheme().model_dump(), "make_topics": False} == KafkaGuestTheme().model_dump()


@pytest.mark.parametrize("room", ["ledger", "observe", "policy", "rollouts", "signals"])
def test_only_the_feedback_service_makes_topics_by_itself(room: str) -> None:
    settings = importlib.import_module(f"rejoinder.{room}.settings")
    themes = [value for value in vars(settings).values() if isinstance(value, type) and issubclass(value, Theme)]
    held = [theme.model_fields["kafka"].annotation for theme in themes if "kafka" in theme.model_fields]
    assert held
    assert set(held) == {KafkaGuestTheme}

"""Topics made and checked at start, and what lies on them for others to read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from rejoinder.core.errors import BadSettings, LogReplaced, LogUnavailable
from rejoinder.core.types import Feedback, FollowUp
from rejoinder.stream.headers import record_of
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings

from tests.brokers import shared
from tests.chaos.harness import wait_until
from tests.system.kafka.world import UNHURRIED, admin_of, drain, names, new, opened, raw_records, settings

pytestmark = pytest.mark.system

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def admin() -> Iterator[KafkaAdminClient]:
    with admin_of(shared()) as client:
        yield client


@pytest.fixture
def of() -> KafkaSettings:
    return settings(shared(), **UNHURRIED)


def set_to(admin: KafkaAdminClient, topic: str, **changed: str) -> None:
    configs = {name.replace("_", "."): value for name, value in changed.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
    admin.alter_configs([resource], incremental=True)

    def there() -> bool:
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return all(found[name]["value"] == value for name, value in configs.items())

    wait_until(there, "changed settings")


def test_topics_are_made_as_the_settings_say(of: KafkaSettings, admin: KafkaAdminClient) -> None:
    with opened(of):
        pass
    assert set(names(of)) <= set(admin.list_topics())
    rows = {row["name"]: row for row in admin.describe_topics(names(of))}
    assert {len(row["partitions"]) for row in rows.values()} == {3}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names(of)]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    policies = {name.split(".")[1]: found[name]["cleanup.policy"]["value"] for name in names(of)}
    assert {topic for topic, policy in policies.items() if policy == "compact"} == {"arms", "erasures", "evidence"}
    assert found[f"{of.prefix}.feedback.v1"]["retention.ms"]["value"] == str(30 * 86_400_000)
    assert {found[name]["unclean.leader.election.enable"]["value"] for name in names(of)} == {"false"}


@pytest.mark.parametrize(
    ("topic", "setting", "value", "said"),
    [
        ("erasures", "cleanup_policy", "delete", "cleanup.policy is delete, the settings want compact"),
        ("feedback", "retention_ms", "1000", "retention.ms is 1000, the settings want 2592000000"),
        ("signals", "message_timestamp_type", "CreateTime", "message.timestamp.type is CreateTime"),
        ("feedback", "max_message_bytes", "1000", "max.message.bytes is 1000, the settings want at least"),
        ("arms", "unclean_leader_election_enable", "true", "unclean.leader.election.enable is true"),
    ],
)
def test_a_topic_that_stands_otherwise_is_named_with_found_and_wanted(
    of: KafkaSettings, admin: KafkaAdminClient, topic: str, setting: str, value: str, said: str
) -> None:
    with opened(of):
        pass
    set_to(admin, f"{of.prefix}.{topic}.v1", **{setting: value})
    with pytest.raises(BadSettings, match=f"topic {of.prefix}.{topic}.v1: {said}"), opened(of):
        pass


def test_copies_and_partitions_are_held_to_the_settings(of: KafkaSettings) -> None:
    with opened(of):
        pass
    for changed, said in (
        ({"replication": 3}, "replication is 1, the settings want at least 3"),
        ({"replication": 3, "min_insync": 2}, "replication is 1"),
        ({"partitions": 4}, "partitions is 3, the settings want at least 4"),
    ):
        with pytest.raises(BadSettings, match=said), opened(replace(of, **changed)):
            pass
    with opened(replace(of, partitions=2)) as log:
        assert log.partitions("feedback") == 3


def test_more_copies_than_brokers_are_refused_when_topics_are_made(of: KafkaSettings) -> None:
    with pytest.raises(BadSettings, match="cannot be made with 3 copies"), opened(replace(of, replication=3)):
        pass


def test_who_may_not_make_topics_names_what_is_missing(of: KafkaSettings, admin: KafkaAdminClient) -> None:
    admin.create_topics([NewTopic(f"{of.prefix}.feedback.v1", 3, 1)])
    with pytest.raises(BadSettings, match=r"make_topics is off: .*\.arms\.v1") as refused:
        KafkaLog(replace(of, make_topics=False))
    assert "feedback" not in str(refused.value)


def test_somebody_elses_program_reads_a_cloud_event(of: KafkaSettings) -> None:
    event = Feedback(event_id="e-1", tenant="acme", conversation_id="c-1", occurred_at=1.5, kind=FollowUp("thanks"))
    with opened(of) as log:
        sent = record_of(event, "rejoinder/feedback", TRACE)
        log.append([sent]).result(60)
        (raw,) = raw_records(of, "feedback", 1)
    headers = {name: value.decode() for name, value in raw.headers}
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": "e-1",
        "ce_type": "dev.rejoinder.feedback.v1",
        "ce_source": "rejoinder/feedback",
        "ce_time": "1970-01-01T00:00:01.500000Z",
        "content-type": "application/protobuf",
        "traceparent": TRACE,
    }
    assert (raw.key, raw.value) == (sent.key, sent.value)
    assert abs(raw.timestamp / 1000 - time.time()) < 60, "the brokers' time, not the event's"


def test_a_topic_made_anew_stops_who_reads_it_and_is_made_by_nobody_who_asks(
    of: KafkaSettings, admin: KafkaAdminClient
) -> None:
    """LOG_REPLACED: positions that are kept elsewhere, and a reader that runs on while it happens."""
    with opened(of) as log:
        before = log.topic_id("feedback")
        log.append([new(f"k{i}", "v") for i in range(9)]).result(60)
        member = log.subscribe("g", ["feedback"], "m1")
        drain(member, 9)
        name = f"{of.prefix}.feedback.v1"
        admin.delete_topics([name])
        wait_until(lambda: name not in admin.list_topics(), "a deleted topic")
        # The brokers make topics for whoever asks for one that is missing; everything of ours asks now.
        deadline = time.monotonic() + 3 * of.metadata_s
        while time.monotonic() < deadline:
            member.poll(0.1)
            with pytest.raises(LogUnavailable):
                log.topic_id("feedback")
        assert name not in admin.list_topics()
        with opened(of) as anew:
            assert anew.topic_id("feedback") != before
            assert log.topic_id("feedback") != before
            anew.append([new(f"k{i}", "other") for i in range(30)]).result(60)
            with pytest.raises(LogReplaced):
                drain(member, 1)
        member.close()


def test_what_was_written_to_an_added_partition_counts_before_the_reader_has_heard_of_it(of: KafkaSettings) -> None:
    # Its reader looks at the topics once, and not again within the test.
    with opened(replace(of, metadata_s=300.0)) as log, opened(of) as other:
        assert log.written("signals") == dict.fromkeys(range(3), 0) == log.end_offsets("signals")
        other.grow("signals", 4)
        wait_until(lambda: 3 in log.written("signals"), "the added partition")
        assert set(log.end_offsets("signals")) == {0, 1, 2}
        assert log.written("signals", decided=True)[3] == 0

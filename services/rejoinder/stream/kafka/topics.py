"""The topics on the brokers: made where they are missing, refused where they stand otherwise than the settings say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as ke
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from rejoinder.core.errors import BadSettings, LogUnavailable
from rejoinder.stream.kafka.library import RETRY_AFTER_S, asked, translated, translating
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.topics import OWNABLE, Topic, full_name, owners_among

_UNKNOWN = ke.UnknownTopicOrPartitionError.errno
#: Settings of a topic that may be larger than asked for without harm, and those that may be smaller.
_AT_LEAST = frozenset({"max.message.bytes"})
_AT_MOST = frozenset({"segment.ms"})
#: Between two looks at topics that a broker does not know yet.
_LOOK_S = 0.1


def wanted(topic: Topic, settings: KafkaSettings) -> Mapping[str, str]:
    """What a topic must be set to. Records carry the time at which the log took them, a copy that missed acknowledged
    records never leads, and no record outlives retention_s by more than segment_s."""
    kept = {"cleanup.policy": "compact"}
    if not topic.compacted:
        kept = {
            "cleanup.policy": "delete",
            "retention.ms": str(int((topic.retention_s or settings.retention_s) * 1000)),
            "segment.ms": str(int(settings.segment_s * 1000)),
        }
    return {
        **kept,
        "min.insync.replicas": str(settings.min_insync),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(settings.max_record_bytes + 1024),
        "unclean.leader.election.enable": "false",
    }


def prepare(admin: KafkaAdminClient, topics: Mapping[str, Topic], settings: KafkaSettings) -> None:
    """Makes what is missing, then checks every topic. Raises BadSettings naming topic, setting, found and wanted; or
    the tenants whose own topics are there and not among these.

    More partitions than asked for are taken: adding them changes no result.
    """
    names = {full_name(settings.prefix, name): topic for name, topic in topics.items()}
    deadline = time.monotonic() + settings.request_s
    while True:
        try:
            if any(not topic.tenant and topic.name in OWNABLE for topic in topics.values()):
                _check_tenants(admin, topics, settings)
            _make_missing(admin, names, settings)
            _check_all(admin, names, settings)
            return
        except LogUnavailable:
            # A broker may be dying just now. And brokers hear of a new topic one after another: the one that is asked
            # may not know it yet.
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)


def _make_missing(admin: KafkaAdminClient, names: Mapping[str, Topic], settings: KafkaSettings) -> None:
    with translating("looking at the topics"):
        rows = asked(admin, lambda: described(admin, names), settings.request_s)
        missing = {name: names[name] for name, row in rows.items() if row["error_code"] == _UNKNOWN}
        if missing:
            _make(admin, missing, settings)


def _check_tenants(admin: KafkaAdminClient, topics: Mapping[str, Topic], settings: KafkaSettings) -> None:
    """Who did not know of a tenant's own topics would write its events to the shared ones, or leave them unread."""
    with translating("looking at the topics"):
        there = asked(admin, admin.list_topics, settings.request_s)
    unknown = owners_among(settings.prefix, there) - {topic.tenant for topic in topics.values()}
    if unknown:
        raise BadSettings(
            f"the brokers have topics of the tenants {', '.join(sorted(unknown))} under {settings.prefix}.tenant: name "
            "them in kafka.tenants, with closed: true where their events go to the shared topics again",
            field="tenants",
        )


def _check_all(admin: KafkaAdminClient, names: Mapping[str, Topic], settings: KafkaSettings) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    with translating("looking at the topics"):
        rows = asked(admin, lambda: described(admin, names), settings.request_s)
        found = asked(
            admin, lambda: admin.describe_configs(resources, config_filter="all")["topic"], settings.request_s
        )
    for name, topic in names.items():
        _check(name, rows[name], found[name], topic, settings)


def described(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in admin.describe_topics(list(names))}


def _make(admin: KafkaAdminClient, missing: Mapping[str, Topic], settings: KafkaSettings) -> None:
    if not settings.make_topics:
        raise BadSettings(f"topics are missing and kafka.make_topics is off: {', '.join(sorted(missing))}")
    new = [
        NewTopic(name, _partitions(topic, settings), settings.replication, topic_configs=dict(wanted(topic, settings)))
        for name, topic in missing.items()
    ]
    made = asked(admin, lambda: admin.create_topics(new, raise_errors=False), settings.request_s)
    for row in made["topics"]:
        error = ke.for_code(row["error_code"])
        # Another process may start beside us; what it made is checked like any other.
        if error in (ke.NoError, ke.TopicAlreadyExistsError):
            continue
        if issubclass(error, ke.RetriableError):
            raise translated(error(), "making topics")
        raise BadSettings(
            f"topic {row['name']} is missing and cannot be made with {settings.replication} copies and "
            f"{_partitions(missing[row['name']], settings)} partitions ({error.__name__}); for rights see the ACLs in "
            "NOTES.md",
            topic=row["name"],
            error=error.__name__,
        )
    admin.wait_for_topics(list(missing), timeout_ms=int(settings.request_s * 1000))


def _check(name: str, row: Mapping[str, Any], found: Mapping[str, Any], topic: Topic, settings: KafkaSettings) -> None:
    if row["error_code"] or not row["partitions"]:
        error = ke.for_code(row["error_code"]).__name__
        if issubclass(ke.for_code(row["error_code"]), ke.AuthorizationError):
            raise BadSettings(f"topic {name} may not be looked at ({error}): see the ACLs in NOTES.md", topic=name)
        raise LogUnavailable(f"topic {name} cannot be looked at", retry_after_s=RETRY_AFTER_S, error=error)
    copies = min(len(partition["replica_nodes"]) for partition in row["partitions"])
    _at_least(name, "partitions", len(row["partitions"]), _partitions(topic, settings))
    _at_least(name, "replication", copies, settings.replication)
    for setting, value in wanted(topic, settings).items():
        if setting not in found:
            # From a broker that has not heard of the topic yet, and without the right to ask (ACLs in NOTES.md).
            raise LogUnavailable(f"no broker tells the settings of topic {name}", retry_after_s=RETRY_AFTER_S)
        there = found[setting]["value"]
        if setting in _AT_LEAST:
            _at_least(name, setting, int(there), int(value))
        elif setting in _AT_MOST:
            if int(there) > int(value):
                raise _stands(name, setting, there, f"at most {value}")
        elif there != value:
            raise _stands(name, setting, there, value)


def _partitions(topic: Topic, settings: KafkaSettings) -> int:
    return topic.partitions or settings.partitions


def _at_least(name: str, setting: str, found: int, least: int) -> None:
    if found < least:
        raise _stands(name, setting, str(found), f"at least {least}")


def _stands(name: str, setting: str, found: str, asked: str) -> BadSettings:
    return BadSettings(
        f"topic {name}: {setting} is {found}, the settings want {asked}",
        topic=name,
        setting=setting,
        found=found,
        wanted=asked,
    )

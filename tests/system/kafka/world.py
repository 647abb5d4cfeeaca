"""What the tests beside this file, and those of chaos/kafka, open a log with."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Consumer, NewRecord, Record
from rejoinder.stream.topics import TOPICS, full_name

WAIT_S = 30.0
#: Of logs whose members nobody kills: one that the machine holds up for a second keeps its partitions.
UNHURRIED = {"session_timeout_s": 20.0, "poll_interval_s": 60.0}


def settings(bootstrap: str, **changed: Any) -> KafkaSettings:
    """Of a log under a prefix of its own, on one broker."""
    fixed = {
        "prefix": f"t{uuid.uuid4().hex[:12]}",
        "partitions": 3,
        "replication": 1,
        "min_insync": 1,
        "metadata_s": 0.5,
        "session_timeout_s": 1.0,
        "poll_interval_s": 5.0,
        "linger_s": 0.0,
    }
    return KafkaSettings(bootstrap=bootstrap, **{**fixed, **changed})


@contextmanager
def opened(of: KafkaSettings, appends: bool = True) -> Iterator[KafkaLog]:
    log = KafkaLog(of, appends=appends)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def admin_of(bootstrap: str) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        yield admin
    finally:
        admin.close()


def drain(consumer: Consumer, count: int, within_s: float = WAIT_S) -> list[Record]:
    """Polls until so many records came."""
    out: list[Record] = []
    deadline = time.monotonic() + within_s
    while len(out) < count:
        assert time.monotonic() < deadline, f"{len(out)} of {count} records came within {within_s} s"
        out.extend(consumer.poll(0.1))
    return out


def raw_records(of: KafkaSettings, topic: str, count: int) -> list[Any]:
    """Records as somebody else's program reads them: a consumer of the library, with its defaults."""
    name = full_name(of.prefix, topic)
    consumer = KafkaConsumer(bootstrap_servers=of.bootstrap, auto_offset_reset="earliest")
    try:
        consumer.assign([TopicPartition(name, partition) for partition in range(of.partitions)])
        out: list[Any] = []
        deadline = time.monotonic() + WAIT_S
        while len(out) < count and time.monotonic() < deadline:
            out += [record for records in consumer.poll(200).values() for record in records]
        return out
    finally:
        consumer.close()


def names(of: KafkaSettings) -> list[str]:
    return [full_name(of.prefix, topic) for topic in TOPICS]


def new(key: str, value: str, topic: str = "feedback") -> NewRecord:
    return NewRecord(topic, key.encode(), value.encode())


def password_file(folder: Path, text: str) -> Path:
    path = folder / f"password-{uuid.uuid4().hex[:6]}"
    path.write_text(text + "\n")
    return path

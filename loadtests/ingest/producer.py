"""The one producer of every row: the settings of our log with their defaults, on one broker."""

from __future__ import annotations

import time

from kafka import KafkaProducer
from kafka import errors as ke
from rejoinder.stream.kafka.library import Library
from rejoinder.stream.kafka.settings import KafkaSettings

TOPIC = "{}.feedback.v1"
_KNOWN_S = 30.0


def settings_of(bootstrap: str, prefix: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=bootstrap, prefix=prefix, replication=1, min_insync=1)


def producer_of(bootstrap: str, prefix: str) -> KafkaProducer:
    """Idempotent, acks from all; it knows the topic. Raises TimeoutError."""
    producer = Library(settings_of(bootstrap, prefix), "bench").producer()
    deadline = time.monotonic() + _KNOWN_S
    while not _knows(producer, TOPIC.format(prefix)):
        if time.monotonic() > deadline:
            raise TimeoutError("the brokers did not tell the topic's partitions")
        time.sleep(0.01)
    return producer


def _knows(producer: KafkaProducer, topic: str) -> bool:
    try:
        return bool(producer.partitions_for(topic))
    except ke.KafkaTimeoutError:
        return False

"""Opening a log by settings, where that is more than a constructor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rejoinder.stream.topics import TOPICS, OwnTopics

if TYPE_CHECKING:
    from rejoinder.stream.kafka.log import KafkaLog


def kafka_log(values: Mapping[str, Any], name: str, appends: bool = True, only: Sequence[str] = ()) -> KafkaLog:
    """The log on Apache Kafka. values: the fields of KafkaSettings. name: of the process, for the brokers. appends:
    whether it may. only: the topics that it touches, none of them a tenant's; it need not know then who has some.

    The library is imported here (0.3 s and 20 MB), so that who keeps the log elsewhere does not pay for it. Raises
    what KafkaLog raises; BadSettings where a setting contradicts another.
    """
    from rejoinder.stream.kafka.log import KafkaLog
    from rejoinder.stream.kafka.settings import KafkaSettings

    own = {tenant: OwnTopics(**how) for tenant, how in values.get("tenants", {}).items()}
    topics = {topic: TOPICS[topic] for topic in only} or None
    return KafkaLog(KafkaSettings(**{**values, "tenants": own}), name, topics, appends)

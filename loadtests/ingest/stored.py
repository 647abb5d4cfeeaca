"""What lies in the topic, read by a consumer of the library: an acknowledgement is worth what can be found there."""

from __future__ import annotations

import time
from collections import Counter

from kafka import KafkaConsumer, TopicPartition

_READ_S = 300.0


def stored_ids(bootstrap: str, topic: str) -> Counter[str]:
    """How often each event id lies in the topic. Raises TimeoutError."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    found: Counter[str] = Counter()
    deadline = time.monotonic() + _READ_S
    try:
        where = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(where)
        ends = consumer.end_offsets(where)
        while any(consumer.position(each) < ends[each] for each in where):
            if time.monotonic() > deadline:
                raise TimeoutError("the topic was not read to its end")
            for records in consumer.poll(500, max_records=5000).values():
                found.update(dict(record.headers)["ce_id"].decode() for record in records)
    finally:
        consumer.close()
    return found

"""Two topics as a shop might have them, for the example beside this file: `python fill.py BOOTSTRAP`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

HERE = Path(__file__).parent
TOPICS = {"shop.chat": "chat.jsonl", "shop.reactions": "reactions.jsonl"}


def fill(bootstrap: str, prefix: str = "") -> int:
    """Makes the topics where they are missing and sends every line; answers how many."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(prefix + topic, 3, 1) for topic in TOPICS], raise_errors=False)
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = []
    for topic, name in TOPICS.items():
        for line in (HERE / name).read_text("utf-8").splitlines():
            record = json.loads(line)
            # As a shop would: a session's messages under one key, so that they lie in one partition.
            key = record.get("session", {}).get("id") or record["about"]
            sent.append(producer.send(prefix + topic, line.encode(), key.encode()))
    for one in sent:
        one.get(30)
    producer.close()
    return len(sent)


if __name__ == "__main__":
    print(f"{fill(sys.argv[1])} records")

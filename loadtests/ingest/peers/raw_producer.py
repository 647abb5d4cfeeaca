"""The records as the bare client library sends them: no server, the records made before.

    python -m loadtests.ingest.peers.raw_producer BOOTSTRAP PREFIX READY

For each line on stdin, {"name", "first", "count", "window", "rate"}, it makes the records, sends them, waits until all
are acknowledged and answers {"cpu_us", "wall_s", "acknowledged"}: of the process, all its threads, sending and waiting
alone. About `window` records are on their way at once, and no more are sent a second than `rate`, 0 for as many as go.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from loadtests.ingest.events import event, record
from loadtests.ingest.producer import TOPIC, producer_of
from loadtests.processes import say_ready

#: Between two looks at how many are due: a wake-up of ours costs the bare producer little then.
_PACE_S = 0.002


def cpu_us() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def measured(
    producer: KafkaProducer, topic: str, name: str, first: int, count: int, window: int, rate: float
) -> dict[str, Any]:
    made = [record(event(name, number)) for number in range(first, first + count)]
    ready = [(one.value, one.key, list(one.headers)) for one in made]
    sent: list[Any] = []
    step = 1 + window // 50
    cpu, began = cpu_us(), time.monotonic()
    for number, (value, key, headers) in enumerate(ready):
        if number >= window and number % step == 0:
            sent[number - window].get(30.0)
        while rate and number > rate * (time.monotonic() - began):
            time.sleep(_PACE_S)
        sent.append(producer.send(topic, value, key, headers))
    producer.flush(30.0)
    if not all([future.succeeded() for future in sent]):
        raise RuntimeError("a record was not taken")
    return {"cpu_us": cpu_us() - cpu, "wall_s": time.monotonic() - began, "acknowledged": len(sent)}


def main() -> None:
    bootstrap, prefix, ready = sys.argv[1:]
    producer = producer_of(bootstrap, prefix)
    say_ready(Path(ready), 0)
    try:
        for line in sys.stdin:
            print(json.dumps(measured(producer, TOPIC.format(prefix), **json.loads(line))), flush=True)
    finally:
        producer.close(1.0)


if __name__ == "__main__":
    main()

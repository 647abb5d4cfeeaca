"""A ledger of many events, read from Kafka into PostgreSQL and into a file in other orders and batches, with copies:
equal digests. Writes reports/replay.json: `pytest tests/system/kafka/test_replay_at_size.py -m proof -s`.

REPLAY_EVENTS asks for another number than 100,000.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.intake.replay import compare
from rejoinder.stream.headers import record_of
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.port import Record
from rejoinder.stream.topics import Topic

from tests import brokers
from tests.ledger.conftest import Bench
from tests.ledger.intake.test_projector_speed import events
from tests.postgresql import Server
from tests.system.kafka.world import opened, settings

EVENTS = int(os.environ.get("REPLAY_EVENTS", "100000"))
REPORT = Path(__file__).parents[3] / "reports" / "replay.json"
#: Of each hundred events so many are sent twice.
COPIES = 3
DAYS = 30


@dataclass
class Shuffled:
    """A log whose partitions are read in runs of chance lengths, whatever was asked for. owns: nothing."""

    log: KafkaLog
    rng: random.Random

    @property
    def topics(self) -> Mapping[str, Topic]:
        return self.log.topics

    def topic_id(self, topic: str) -> str:
        return self.log.topic_id(topic)

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        return self.log.start_offsets(topic)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        ends = list(self.log.end_offsets(topic).items())
        return dict(self.rng.sample(ends, len(ends)))

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        return self.log.read(topic, partition, offset, self.rng.randint(1, max_records))


def produce(log: KafkaLog, bench: Bench, count: int) -> int:
    """Answers how many records lie on the log."""
    rng, sent, waiting = random.Random(1), 0, []
    # As accepted in the thirty days before: by the log's own clock, which is the brokers', anything older is EXPIRED.
    shift = time.time() - bench.now - DAYS * 86_400.0
    for event in events(bench, count, DAYS):
        event = replace(event, occurred_at=event.occurred_at + shift, accepted_at=event.accepted_at + shift)
        record = replace(record_of(event, "tests"), identity=None)
        batch = [record] * (2 if rng.random() < COPIES / 100 else 1)
        waiting.append(log.append(batch))
        sent += len(batch)
        if len(waiting) == 1_000:
            for one in waiting:
                one.result(60)
            waiting.clear()
    for one in waiting:
        one.result(60)
    return sent


@pytest.mark.proof
@pytest.mark.timeout(3_600)
def test_many_events_give_the_same_ledger_in_any_order_batches_and_redeliveries(
    postgres: Server, tmp_path: Path
) -> None:
    of = settings(brokers.shared(), metadata_s=30.0, linger_s=0.005)
    on_disk, in_postgres = Bench(tmp_path), Bench(tmp_path, postgres)
    rows: list[dict[str, Any]] = []

    def measured(name: str, work: Any) -> Any:
        began, cpu = time.perf_counter(), time.process_time()
        out = work()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        rows.append({"name": name, "seconds": round(seconds, 1), "cpu_s": round(cpu_s, 1)})
        rows[-1]["events_per_s"] = round(records / seconds)
        print(f"\n{rows[-1]}")
        return out

    with opened(of) as log:
        records = produce(log, on_disk, EVENTS)

        def projected(bench: Bench, batch: int, source: Any) -> Ledger:
            ledger = bench.ledger(replace(bench.settings(), batch=batch))
            assert ledger.project(source) == records
            return ledger

        ledger = measured("kafka → postgresql, batches of 2,000", lambda: projected(in_postgres, 2_000, log))
        other = Shuffled(log, random.Random(2))
        again = measured("kafka → sqlite, other order, batches of 1 to 1,500", lambda: projected(on_disk, 1_500, other))
        digests = {ledger.digest(), again.digest()}
        found = measured(
            "rejoinder replay, into sqlite",
            lambda: compare(ledger.store, log, tmp_path / "rebuilt.db", ledger.settings, SystemClock()),
        )
        stored, copies = (sum(getattr(row, n) for row in ledger.parity()) for n in ("stored", "duplicate"))
        assert (stored, copies) == (EVENTS, records - EVENTS)
        assert ledger.joining().joined == EVENTS // 2
        on_disk.close()
        in_postgres.close()
    report = {"events": EVENTS, "records": records, "equal": found.equal and len(digests) == 1, "rows": rows}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    assert report["equal"], digests

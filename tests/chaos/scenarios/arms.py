"""Who is served what, when its writer was asleep."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

from kafka.admin import ConfigResource, ConfigResourceType
from rejoinder.clients import Connection, PolicyClient
from rejoinder.core.arms import ArmsTable
from rejoinder.core.codec import decode
from rejoinder.stream.kafka.log import KafkaLog

from tests.chaos.harness import wait_until
from tests.chaos.scenarios.answers import policy_of
from tests.chaos.scenarios.row import Outcome, proven
from tests.chaos.scenarios.site import Site, Town
from tests.system.kafka.world import admin_of
from tests.system.logs import everything

ENGINE = str(Path(__file__).with_name("engine.py"))
TABLES = 20
#: So that old tables go while somebody watches: segments of a fifth of a second, cleaned as soon as anything is old.
HASTY = {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
Order = tuple[int, int]


class Engine:
    """A writer of the arms topic. owns: its process."""

    def __init__(self, town: Town, name: str) -> None:
        fields = {field: getattr(town.settings, field) for field in town.settings.__dataclass_fields__}
        self._log = (town.folder / f"engine-{name}-{uuid.uuid4().hex[:6]}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, ENGINE, repr(fields), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.term = int(self.hears().removeprefix("took "))

    def tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("write\n")
        self._process.stdin.flush()

    def hears(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"the engine ended: {Path(self._log.name).read_text('utf-8', 'replace')[-800:]}"
        return line

    def write(self) -> Order:
        """Term and generation of the table that it was told is durable."""
        self.tell()
        word, *order = self.hears().split()
        assert word == "wrote", f"a table was not taken: {word}"
        return int(order[0]), int(order[1])

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                pipe.close()


def stale_leader(site: Site, events: int) -> Outcome:
    """F11, F13: a leader is stopped, another takes over and writes, the first wakes and writes: it is refused. Then
    compaction takes every table but the newest, and a new replica of the policy reads the right one. The ids here are
    the tables' terms and generations."""
    with site.town() as town, town.log() as log:
        old = Engine(town, "old")
        young = None
        try:
            acknowledged = [old.write() for _ in range(TABLES // 2)]
            old.signal(signal.SIGSTOP)
            young = Engine(town, "young")
            acknowledged += [young.write() for _ in range(TABLES // 2)]
            old.tell()
            old.signal(signal.SIGCONT)
            woken = old.hears()
            proven(woken == "FENCED", f"the woken leader heard {woken}")
            wait_until(lambda: _orders(log).keys() >= set(acknowledged), "every table", 30.0)
            lying = _orders(log)
            compacted_from = _compacted(town, log, young, acknowledged)
            policy = policy_of(town, town.folder / "spool")
            policy.start()
            replica = PolicyClient(Connection(f"127.0.0.1:{policy.port}"))
            try:
                wait_until(lambda: replica.arms().generation == acknowledged[-1][1], "the newest table", 30.0)
                found = replica.arms()
            finally:
                replica.close()
            assert (found.term, found.generation) == acknowledged[-1], "a new replica reads another table"
        finally:
            for engine in (old, young):
                if engine is not None:
                    engine.close()
    first = acknowledged[:TABLES]
    return Outcome(
        acknowledged=len(first),
        stored=sum(lying.values()),
        lost=len(set(first) - lying.keys()),
        duplicated=sum(count > 1 for count in lying.values()),
        unacked_stored=len(lying.keys() - set(first)),
        evidence={"woken": woken, "first_offset_left": compacted_from, "replica": list(acknowledged[-1])},
    )


def _orders(log: KafkaLog) -> Counter[Order]:
    return Counter(decode(record.value, ArmsTable).order for record in everything(log, "arms"))


def _compacted(town: Town, log: KafkaLog, engine: Engine, acknowledged: list[Order]) -> int:
    """Writes on until the cleaner has taken all that the first leader wrote; the first offset that is left."""
    resource = ConfigResource(ConfigResourceType.TOPIC, f"{town.settings.prefix}.arms.v1", HASTY)
    with admin_of(town.settings.bootstrap) as admin:
        admin.alter_configs([resource])

    def cleaned() -> bool:
        acknowledged.append(engine.write())
        return all(term >= engine.term for term, _ in _orders(log))

    wait_until(cleaned, "compaction", 120.0)
    return min(record.offset for record in everything(log, "arms"))

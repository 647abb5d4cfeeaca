"""What the tests beside this file, and those of chaos/observe, stand on: topics of somebody else's, our ingest on
SQLite, and an observer in between."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from rejoinder.clients.connection import Connection
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.clock import SystemClock
from rejoinder.core.metrics import Metrics
from rejoinder.observe.__main__ import build
from rejoinder.observe.settings import ObserveSettings
from rejoinder.runtime.server import Chassis
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.headers import event_of

from tests.chaos.harness import Process
from tests.system.ingest.serving import Lines
from tests.system.kafka.world import admin_of
from tests.system.logs import everything

#: One message a record, in names that are not ours.
FLAT: dict[str, Any] = {
    "preset": "flat",
    "role": {"of": "who", "is": {"customer": "user", "agent": "assistant"}},
    "content": "said",
}


def topic_name(what: str = "chat") -> str:
    return f"{what}-{uuid.uuid4().hex[:10]}"


def make(bootstrap: str, topic: str, partitions: int = 3) -> str:
    with admin_of(bootstrap) as admin:
        admin.create_topics([NewTopic(topic, partitions, 1)])
        admin.wait_for_topics([topic])
    return topic


class Theirs:
    """The application's own producer. owns: it."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0)

    def send(
        self, topic: str, values: Sequence[Any], partition: int | None = None, at: float | None = None
    ) -> list[tuple[int, int]]:
        """Where each lies: (partition, offset). Bytes and None are sent as they are, anything else as JSON."""
        sent = [
            self._producer.send(
                topic,
                value if value is None or isinstance(value, bytes) else json.dumps(value).encode(),
                partition=partition,
                timestamp_ms=None if at is None else int(at * 1000),
                key=b"k",
            )
            for value in values
        ]
        return [(done.partition, done.offset) for done in (one.get(30) for one in sent)]

    def close(self) -> None:
        self._producer.close()


class Ingest:
    """Our feedback service over a SQLite log. owns: the process."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.log_path = folder / "log.db"
        self.process = Process(
            [sys.executable, "-m", "rejoinder.feedback"],
            folder,
            "feedback",
            {"LOG__PATH": str(self.log_path), **environment},
        )
        self.process.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.process.port}"

    def events(self, topic: str, tenant: str) -> list[Any]:
        """What lies on our log, in its order."""
        owner = LogOwnerClient(Connection(self.address))
        log = FollowerLog(str(self.log_path), owner)
        try:
            return [event for event in map(event_of, everything(log, topic)) if event.tenant == tenant]
        finally:
            log.close()
            owner.close()

    def appended(self, topic: str) -> int:
        """How many records lie there, of all tenants."""
        owner = LogOwnerClient(Connection(self.address))
        log = FollowerLog(str(self.log_path), owner)
        try:
            return sum(log.end_offsets(topic).values())
        finally:
            log.close()
            owner.close()

    def count(self, topic: str, tenant: str) -> int:
        return len(self.events(topic, tenant))


def settings(bootstrap: str, ingest: str, topics: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """An observer's, under a tenant and a group of its own; changed: themes, merged in."""
    name = f"o{uuid.uuid4().hex[:10]}"
    out: dict[str, Any] = {
        "brokers": {"bootstrap": bootstrap, "session_timeout_s": 1.0, "poll_interval_s": 10.0, "metadata_s": 0.5},
        "topics": [{"topic": topic, "map": of} for topic, of in topics.items()],
        "read": {"group": name, "poll_s": 0.1, "look_s": 0.1},
        "into": {"feedback": ingest, "tenant": name, "backoff_max_s": 0.2},
        "order": {"settle_s": 0.5},
        "server": {"metrics_port": 0, "port": 0},
    }
    for theme, values in changed.items():
        out[theme] = {**out.get(theme, {}), **values}
    return out


def written(folder: Path, values: Mapping[str, Any]) -> Path:
    path = folder / f"observe-{uuid.uuid4().hex[:6]}.yaml"
    path.write_text(yaml.safe_dump(dict(values)))
    return path


def observer_of(folder: Path, values: Mapping[str, Any]) -> Process:
    at = folder / f"observer-{uuid.uuid4().hex[:6]}"
    at.mkdir()
    command = [sys.executable, "-m", "rejoinder.observe", "--settings", str(written(at, values))]
    return Process(command, at, "observe", {})


class Running:
    """The observer as its process is built, on a thread of this one. owns: the thread.

    failure: what ended it, None while it runs and after it was told to stop.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._settings = ObserveSettings.model_validate(values)
        self._lines = Lines()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.metrics = Metrics()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    @property
    def log(self) -> str:
        return self._lines.text

    def ended(self, within_s: float = 60.0) -> BaseException | None:
        """Why it ended by itself."""
        self._thread.join(within_s)
        assert not self._thread.is_alive(), f"it did not end within {within_s} s"
        return self.failure

    def stop(self) -> None:
        """As SIGTERM does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self.ended()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:
            self.failure = error
        finally:
            self._loop.close()

    async def _live(self) -> None:
        room = await build(self._settings, Chassis("observe", SystemClock(), self.metrics, self._lines.log))
        try:
            (work,) = room.background
            await work(self._stop)
        finally:
            assert room.close is not None
            await room.close()


@contextmanager
def observing(values: Mapping[str, Any]) -> Iterator[Running]:
    running = Running(values)
    try:
        yield running
    finally:
        running.stop()


def position(bootstrap: str, group: str, topic: str, partitions: int = 3) -> int:
    """How many records the group has behind it, over all partitions."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        return sum(consumer.committed(TopicPartition(topic, p)) or 0 for p in range(partitions))
    finally:
        consumer.close()


def caught_up(bootstrap: str, group: str, *topics: str) -> bool:
    """Whether the group has every record of some topics behind it."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        wanted = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or ()]
        return all((consumer.committed(at) or 0) == end for at, end in consumer.end_offsets(wanted).items())
    finally:
        consumer.close()


def message(conversation: str, number: int, who: str, said: str, **more: Any) -> dict[str, Any]:
    """One record of the flat form."""
    identity = f"{conversation}-{number}"
    return {"conversation_id": conversation, "id": identity, "who": who, "said": said, "user_id": "u", **more}


def talk(conversation: str, turns: int, numbered: bool = False, began: float | None = None) -> list[dict[str, Any]]:
    """A conversation in which customer and agent take turns, one second apart."""
    began = time.time() - 60 if began is None else began
    return [
        message(
            conversation,
            n,
            "agent" if n % 2 == 0 else "customer",
            f"turn {n}",
            created_at=began + n,
            **({"turn": n} if numbered else {}),
        )
        for n in range(1, turns + 1)
    ]

"""What the ledger's tests stand on: a log as plain lists, events in one line, ledgers in a folder of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core import codec, types
from rejoinder.core.clock import ManualClock
from rejoinder.core.ids import subject_of
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.settings import Forgetting, LedgerSettings, Rules
from rejoinder.ledger.stores.dialect import Postgres, Where
from rejoinder.runtime.looks import Looks
from rejoinder.stream.port import NewRecord, Record
from rejoinder.stream.topics import TOPICS, Topic

from tests.postgresql import Server

NOW = 1_700_000_000.0
KEY = b"a key of the deployment"
_TOPIC_OF = {topic.value: topic.name for topic in TOPICS.values() if topic.value}


class ListLog:
    """The reading half of a log over plain lists, and `put`, which answers the coordinate. Offsets may be given."""

    def __init__(self, partitions: int = 2) -> None:
        self.runs: dict[tuple[str, int], list[Record]] = {}
        self.partitions = partitions
        self.ids: dict[str, str] = {}
        self.topics: Mapping[str, Topic] = TOPICS
        #: What retention has left of a partition begins here.
        self.starts: dict[tuple[str, int], int] = {}

    def put(self, event: Any, part: int = 0, at: float | None = None, topic: str = "") -> types.Coordinate:
        topic = topic or _TOPIC_OF[type(event)]
        when = at if at is not None else getattr(event, "accepted_at", None) or NOW
        return self.put_bytes(topic, codec.encode(event), part, when)

    def put_bytes(self, topic: str, value: bytes, part: int = 0, at: float = NOW) -> types.Coordinate:
        run = self.runs.setdefault((topic, part), [])
        run.append(Record(topic, part, len(run), b"", value, (), at))
        return run[-1].coordinate

    def append(self, record: NewRecord) -> None:
        self.put_bytes(record.topic, record.value)

    def topic_id(self, topic: str) -> str:
        return self.ids.get(topic, topic)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {part: len(self.runs.get((topic, part), ())) for part in range(self.partitions)}

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        return {part: self.starts.get((topic, part), 0) for part in range(self.partitions)}

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        start = max(offset, self.starts.get((topic, partition), 0))
        return self.runs.get((topic, partition), [])[start : start + max_records]

    def expire(self) -> None:
        """Retention takes all that lies there now, but for erasures."""
        self.starts |= {place: len(run) for place, run in self.runs.items() if place[0] != "erasures"}

    def everything(self) -> list[Record]:
        return [record for run in self.runs.values() for record in run]


class Bench:
    """Makes events with little said, and ledgers. owns: the ledgers it made, and their databases.

    server: where ledgers lie; in SQLite files without one.
    """

    now = NOW
    key = KEY

    def __init__(self, root: Path, server: Server | None = None) -> None:
        self.root = root
        self.server = server
        self.databases: list[Postgres] = []
        self.clock = ManualClock(NOW)
        self._count = itertools.count()
        self._open: list[Ledger] = []

    def settings(self, batch: int = 2_000, **rules: Any) -> LedgerSettings:
        return LedgerSettings(Forgetting(KEY), Rules(**rules), batch)

    def place(self) -> Where:
        """Where a new ledger may be made: in a database, its tables are there already."""
        if self.server is None:
            return self.root / f"ledger-{next(self._count)}.db"
        self.databases.append(self.server.database())
        return self.databases[-1]

    def ledger(self, settings: LedgerSettings | None = None, **more: Any) -> Ledger:
        return self.again(self.place(), settings, **more)

    def again(self, where: Where, settings: LedgerSettings | None = None, **more: Any) -> Ledger:
        """The ledger that lies somewhere."""
        ledger = Ledger(where, settings or self.settings(), self.clock, **more)
        self._open.append(ledger)
        return ledger

    def looks(self) -> Looks:
        """The record of who was given words, `looks.jsonl` in its folder."""
        return Looks(self.root / "looks.jsonl", KEY, "ledger", self.clock)

    def log(self, partitions: int = 2) -> ListLog:
        return ListLog(partitions)

    def of(self, *events: Any) -> ListLog:
        """A log that holds these events in partition 0."""
        log = ListLog()
        for event in events:
            log.put(event)
        return log

    def answer(self, name: str, after: float = 0.0, version: str = "v1", **fields: Any) -> types.Interaction:
        """after: seconds from the start at which it happened; accepted half a second later."""
        base: dict[str, Any] = {
            "tenant": "t",
            "event_id": f"e-{name}",
            "interaction_id": name,
            "attempt_id": f"a-{name}",
            "user_id": "ann",
            "principal": "app",
            "messages": (types.Message(types.Role.USER, f"question {name}"),),
            "response": f"answer {name}",
            "served": types.Served("assist", version, "d" * 8, types.ArmKind.STABLE, 0.9, 0.3, 7),
            "status": types.AttemptStatus.COMPLETED,
            "occurred_at": NOW + after,
            "accepted_at": NOW + after + 0.5,
        }
        return types.Interaction(**(base | fields))

    def said(self, name: str, about: str = "", after: float = 10.0, **fields: Any) -> types.Feedback:
        base: dict[str, Any] = {
            "tenant": "t",
            "event_id": name,
            "interaction_id": about,
            "user_id": "ann",
            "principal": "app",
            "occurred_at": NOW + after,
            "accepted_at": NOW + after + 0.5,
            "kind": types.FollowUp("no, in Celsius please"),
        }
        return types.Feedback(**(base | fields))

    def signal(
        self, source: str, about: str, polarity: str = "SAT", after: float = 20.0, **fields: Any
    ) -> types.Signal:
        base: dict[str, Any] = {
            "tenant": "t",
            "event_id": f"s-{source}-{fields.get('extractor', 'x')}-{fields.get('extractor_version', '1')}",
            "source_event_id": source,
            "interaction_id": about,
            "attempt_id": f"a-{about}",
            "user_id": "ann",
            "polarity": types.Polarity(polarity),
            "confidence": 0.9,
            "extractor": "x",
            "extractor_version": "1",
            "occurred_at": NOW + after,
            "accepted_at": NOW + after + 0.5,
        }
        return types.Signal(**(base | fields))

    def erasure(self, user: str, after: float = 0.0, grace: float = 0.0, tenant: str = "t") -> types.Erasure:
        subject = subject_of(KEY, tenant, user)
        return types.Erasure(subject, f"ticket-{user}-{after}", NOW + after, grace)

    def close(self) -> None:
        for ledger in self._open:
            ledger.close()
        self._open.clear()
        while self.databases:
            self.server.give_back(self.databases.pop())


STORES = ("sqlite", "postgres")


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Every test of the room runs over both stores."""
    made = Bench(tmp_path, request.getfixturevalue("postgres") if request.param == "postgres" else None)
    yield made
    made.close()

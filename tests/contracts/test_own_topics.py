"""Tenants with topics of their own (U19): where records go, over every log; and a tenant that moves there and back,
over those that can be opened again with other settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from rejoinder.core import types
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings, LogReplaced
from rejoinder.core.ids import subject_of
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.intake.replay import compare
from rejoinder.ledger.settings import Forgetting, LedgerSettings
from rejoinder.stream.consumer import StopFlag, Worker, WorkerSettings
from rejoinder.stream.deadletters import DeadLetters, letters, replay
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Log, NewRecord, Record
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.stream.topics import OWNABLE, TOPICS, OwnTopics, full_name, kind_of, of_kinds, owner_of, with_own

from tests import brokers
from tests.chaos.harness import wait_until

KEY = b"a key of the deployment"
WAIT_S = 60.0
Tenants = Mapping[str, OwnTopics]
ACME: Tenants = {"acme": OwnTopics(partitions=2, retention_s=3_600.0)}
#: Once they were deleted and made anew.
AGAIN: Tenants = {"acme": replace(ACME["acme"], generation=2)}
CLOSED: Tenants = {"acme": replace(ACME["acme"], closed=True)}


class InMemory:
    """owns: nothing; each log is a new one."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(1_700_000_000.0)

    def log(self, tenants: Tenants) -> Log:
        return MemoryLog(self.clock, 2, LogSettings(), with_own(tenants))

    def close(self) -> None:
        """Nothing is left."""


class OnFile(InMemory):
    """owns: one file, opened with other topics each time. No process offers that (one owner, no ACL); the port keeps
    its promise all the same."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._path = str(folder / "log.db")

    def log(self, tenants: Tenants) -> Log:
        return SqliteLog(self._path, LogSettings(partitions=2), self.clock, with_own(tenants))


class OnKafka(InMemory):
    """owns: the topics of one prefix on the session's brokers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        fixed = {"partitions": 1, "replication": 1, "min_insync": 1, "metadata_s": 0.5, "linger_s": 0.0}
        prefix = f"t{uuid.uuid4().hex[:12]}"
        self.settings = KafkaSettings(bootstrap=brokers.shared(), prefix=prefix, **fixed)

    def log(self, tenants: Tenants) -> Log:
        return KafkaLog(replace(self.settings, tenants=tenants))

    def delete(self, tenants: Tenants) -> None:
        """Their own topics; returns when they are gone."""
        self._delete([name for name, topic in with_own(tenants).items() if topic.tenant])

    def close(self) -> None:
        self._delete(list(with_own(ACME)))

    def _delete(self, topics: Sequence[str]) -> None:
        names = {full_name(self.settings.prefix, topic) for topic in topics}
        admin = KafkaAdminClient(bootstrap_servers=self.settings.bootstrap)
        try:
            admin.delete_topics(sorted(names & set(admin.list_topics())))
            wait_until(lambda: not names & set(admin.list_topics()), "their end")
        finally:
            admin.close()


KINDS = {"memory": InMemory, "sqlite": OnFile, "kafka": OnKafka}


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InMemory]:
    made = KINDS[request.param](tmp_path)
    yield made
    made.close()


#: Logs whose records outlive the process.
lasting = pytest.mark.parametrize("world", ["sqlite", "kafka"], indirect=True)


@contextmanager
def opened(world: InMemory, tenants: Tenants) -> Iterator[Log]:
    log = world.log(tenants)
    try:
        yield log
    finally:
        log.close()


def answer(name: str, tenant: str, user: str = "ann", now: float = 1_700_000_000.0) -> types.Interaction:
    return types.Interaction(
        event_id=f"e-{name}",
        tenant=tenant,
        interaction_id=name,
        attempt_id=name,
        user_id=user,
        messages=(types.Message(types.Role.USER, f"question {name}"),),
        response=f"answer {name}",
        occurred_at=now,
        accepted_at=now,
    )


def put(log: Log, *events: object) -> None:
    log.append([record_of(event, "tests") for event in events]).result(WAIT_S)


def lying(log: Log, kinds: Sequence[str] = tuple(TOPICS)) -> dict[str, list[Record]]:
    """What lies where, of topics that hold something."""
    found: dict[str, list[Record]] = {}
    for topic in of_kinds(log.topics, kinds):
        for part, end in log.end_offsets(topic).items():
            at = 0
            while at < end and (records := log.read(topic, part, at)):
                found.setdefault(topic, []).extend(records)
                at = records[-1].offset + 1
    return found


def whose(log: Log) -> dict[str, set[str]]:
    """Topic → the tenants that its records name."""
    return {topic: {event_of(record).tenant for record in found} for topic, found in lying(log, OWNABLE).items()}


class Passes:
    """A step that says of each feedback what it is about. Without a user's id it is poison."""

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
        found = [event_of(record) for record in records]
        for event in found:
            if not event.user_id:
                raise ValueError(event.event_id)
        return [
            record_of(types.Signal(event_id=f"s-{e.event_id}", tenant=e.tenant, source_event_id=e.event_id), "tests")
            for e in found
        ]

    def close(self) -> None: ...


def work(world: InMemory, log: Log, count: int) -> None:
    flag = StopFlag()
    settings = WorkerSettings("g", ("feedback",), "m", "slot-0", poll_s=0.2)
    worker = Worker(log, Passes(), DeadLetters(KEY, world.clock, "tests"), settings, world.clock, flag, lambda s: None)
    turn = worker._turn

    def turns(*args: object) -> bool:
        done = turn(*args)
        flag.asked = flag.asked or worker.counts.read >= count
        return done

    worker._turn = turns
    worker.run()


def test_what_is_a_tenants_lies_on_its_own_topics_whoever_wrote_it(world: InMemory) -> None:
    """Appended, concluded in a step, set aside as a dead letter and put back."""

    def said(name: str, tenant: str, user: str) -> types.Feedback:
        return types.Feedback(
            event_id=name, tenant=tenant, interaction_id="x", user_id=user, kind=types.Comment("fine")
        )

    with opened(world, ACME) as log:
        put(log, answer("x", "acme"), answer("x", "other"))
        put(log, said("f1", "acme", "ann"), said("f1", "other", "bob"), said("f2", "acme", ""), said("f2", "other", ""))
        put(log, types.Erasure(subject_of(KEY, "acme", "eve"), "ticket", 1.0, 1.0))
        work(world, log, 4)
        wait_until(lambda: len(lying(log, ("signals", "deadletters"))) == 4, "the step's records")
        assert {topic: len(records) for topic, records in lying(log).items()} == {
            **dict.fromkeys(("interactions", "interactions@acme", "signals", "signals@acme"), 1),
            **dict.fromkeys(("deadletters", "deadletters@acme"), 1),
            **dict.fromkeys(("feedback", "feedback@acme"), 2),
            "erasures": 1,
        }
        assert whose(log) == {topic: {owner_of(topic) or "other"} for topic in lying(log, OWNABLE)}
        assert {letter.source.topic for _, letter in letters(log)} == {"feedback", "feedback@acme"}
        assert replay(log, ["INTERNAL"], "tests", tenant="acme").put_back == 1
        assert {t: len(r) for t, r in lying(log, ("feedback",)).items()} == {"feedback": 2, "feedback@acme": 3}


def test_bytes_on_a_tenants_topic_stay_on_its_topics(world: InMemory) -> None:
    """What cannot be read names no tenant: its dead letter goes by where it lies."""
    with opened(world, ACME) as log:
        log.append([NewRecord("feedback", b"k", b"no event", tenant="acme")]).result(WAIT_S)
        work(world, log, 1)
        wait_until(lambda: lying(log, ("deadletters",)), "the dead letter")
        assert list(lying(log, ("feedback", "deadletters"))) == ["feedback@acme", "deadletters@acme"]


class Moved:
    """A tenant that had the shared topics, then its own, then the shared ones again; each time one event is new and one
    is sent again that was acknowledged before. owns: the ledger that reads along."""

    def __init__(self, world: InMemory, folder: Path) -> None:
        self.world = world
        # Brokers stamp records with their own time, and nothing here may be too old for the ledger.
        self.now = 4_000_000_000.0
        self.settings = LedgerSettings(Forgetting(KEY, grace_s=10.0))
        self.ledger = Ledger(folder / "ledger.db", self.settings, world.clock)

    def phase(self, tenants: Tenants, *events: object) -> None:
        with opened(self.world, tenants) as log:
            put(log, *events)
            self.read(log)

    def read(self, log: Log) -> None:
        """To the end; what a step wrote may be seen a moment later."""
        self.ledger.project(log)

    def stored(self) -> list[str]:
        return sorted(n.id for name in "abc" for n in self.ledger.trace("acme", name) if n.kind == "interaction")


@pytest.fixture
def moved(world: InMemory, tmp_path: Path) -> Iterator[Moved]:
    made = Moved(world, tmp_path)
    yield made
    made.ledger.close()


def everyone(name: str, now: float) -> list[types.Interaction]:
    return [answer(name, "acme", now=now), answer(name, "other", now=now)]


@lasting
def test_a_tenant_that_moves_keeps_its_history_and_nothing_counts_twice(moved: Moved, tmp_path: Path) -> None:
    a, b, c = (everyone(name, moved.now) for name in "abc")
    moved.phase({}, *a)
    moved.phase(ACME, *a, *b)
    moved.phase(CLOSED, *b, *c)
    assert moved.stored() == ["e-a", "e-b", "e-c"]
    with opened(moved.world, CLOSED) as log:
        assert whose(log) == {"interactions": {"acme", "other"}, "interactions@acme": {"acme"}}
        # What was its own when it moved away again: exactly what it said meanwhile.
        assert {event_of(r).event_id for r in lying(log)["interactions@acme"]} <= {"e-a", "e-b"}
        again = compare(moved.ledger.store, log, tmp_path / "again.db", moved.settings, moved.world.clock)
        assert again.equal
    rows = moved.ledger.parity()
    assert sum(row.stored for row in rows) == 6
    assert {kind_of(row.topic) for row in rows} == {"interactions"}
    assert {row.topic for row in rows} == {"interactions", "interactions@acme"}


@lasting
def test_an_erasure_reaches_what_was_said_before_between_and_after(moved: Moved, tmp_path: Path) -> None:
    """F16. And the ticket waits for every topic that the user's words lie on."""
    a, b, c = (everyone(name, moved.now) for name in "abc")
    moved.phase({}, *a)
    moved.phase(ACME, *b)
    moved.phase(CLOSED, *c)
    with opened(moved.world, CLOSED) as log:
        erasure = types.Erasure(subject_of(KEY, "acme", "ann"), "ticket", moved.now + 1.0, 10.0)
        put(log, erasure)
        # A copy that comes late, from a process that had not heard of the move.
        put(log, a[0])
        moved.read(log)
        assert sum(row.stored for row in moved.ledger.parity() if row.topic != "erasures") == 3
        (store,) = [n for n in moved.ledger.trace("acme", "ticket") if n.kind == "erasure"]
        assert float(store.facts["raw_copy_ends_at"]) >= moved.now
        again = compare(moved.ledger.store, log, tmp_path / "again.db", moved.settings, moved.world.clock)
        assert again.equal


@pytest.mark.parametrize("world", ["kafka"], indirect=True)
def test_a_tenant_whose_topics_were_deleted_comes_back_to_new_ones(moved: Moved, tmp_path: Path) -> None:
    """F06, F07: what was acknowledged on them before anybody said that they are new is not lost, what the ledger has is
    not doubled, and an erasure reaches both."""
    a, b, c = (everyone(name, moved.now) for name in "abc")
    moved.phase(ACME, *a, *b)
    moved.world.delete(ACME)
    with opened(moved.world, ACME) as log:
        # Whoever makes topics has made them anew, and takes events.
        put(log, *b, c[0])
        with pytest.raises(LogReplaced, match=r"kafka\.tenants\.acme\.generation: 2"):
            moved.read(log)
    moved.phase(AGAIN, *c)
    assert moved.stored() == ["e-a", "e-b", "e-c"]
    assert sum(row.stored for row in moved.ledger.parity()) == 6
    with opened(moved.world, AGAIN) as log:
        again = compare(moved.ledger.store, log, tmp_path / "again.db", moved.settings, moved.world.clock)
        assert again.equal
        assert again.cut
        put(log, types.Erasure(subject_of(KEY, "acme", "ann"), "ticket", moved.now + 1.0, 10.0))
        moved.read(log)
    assert sum(row.stored for row in moved.ledger.parity() if row.topic != "erasures") == 3


@pytest.mark.parametrize("world", ["kafka"], indirect=True)
def test_who_was_not_told_of_a_tenants_topics_does_not_start(world: OnKafka) -> None:
    """It would write the tenant's events to the shared topics, or leave them unread."""
    with opened(world, ACME) as log:
        assert log.partitions("feedback@acme") == 2
        assert log.partitions("feedback") == 1
    with pytest.raises(BadSettings, match=r"tenants acme under .*closed: true"), opened(world, {}):
        pass
    with pytest.raises(BadSettings, match=r"retention\.ms"), opened(world, {"acme": OwnTopics(retention_s=7_200.0)}):
        pass
    # Who only reads the arms table need not know.
    KafkaLog(world.settings, topics={"arms": TOPICS["arms"]}, appends=False).close()

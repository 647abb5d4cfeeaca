"""What every log promises (stream/port.py), told once and held against each of them.

A log joins by a row in `HARNESSES`: a class that opens it and knows how time passes for it, how a topic is made anew,
and how retention and compaction are brought about.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadSettings, Fenced, LogReplaced, LogUnavailable, NotFound, UnknownRow
from rejoinder.stream.follower import FollowerLog
from rejoinder.stream.kafka.library import Library, close_producer, send_offsets, translating
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.member import KafkaMember
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.kafka.transaction import KafkaTransaction
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Appended, Consumer, Identity, Log, NewRecord, Partition, Rebalanced, Record
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.stream.topics import TOPICS, full_name

from tests.brokers import shared
from tests.chaos.harness import wait_until

#: The longest wait for anything; whatever waits ends with its condition.
WAIT_S = 60.0
SETTINGS = LogSettings(session_timeout_s=10.0)


class MemoryHarness:
    """owns: a log in memory and its clock."""

    #: Members share partitions out (a log read beside its owner gives every worker its partitions instead).
    groups = True
    #: Every second copy of an id is seen; on other logs the answer is a hint.
    sees_first_copies = True
    #: Seconds until a member whose name another took has heard of it; it cannot commit meanwhile.
    beat_s = 0.0
    #: Records of a key that compaction may leave.
    compacted_copies = 1

    def __init__(self, folder: Path, short: bool = False) -> None:
        """short: sessions end soon where no test can make time pass."""
        self.clock = ManualClock()
        self.log: MemoryLog | SqliteLog | FollowerLog | KafkaLog = MemoryLog(self.clock, 4, SETTINGS)

    def commit(self, claim: Any) -> None:
        """Commits what a member claimed at some time, as its process would if it had been paused since."""
        self.log.commit(claim)

    def let_steps_be_seen(self) -> None:
        """A step is durable when it returns; on a log of several machines readers may see it a moment later."""

    def let_sessions_end(self) -> None:
        self.clock.advance(SETTINGS.session_timeout_s + 1)

    def remake(self) -> None:
        """The log is lost and made anew, empty."""
        self.log = MemoryLog(self.clock, 4, SETTINGS)

    def grow(self, topic: str, partitions: int) -> None:
        self.log.grow(topic, partitions)

    def compact_eagerly(self) -> None:
        """Called before records are written that `compact` is to find."""

    def compact(self) -> None:
        self.log.compact()

    def expire_all(self) -> None:
        self.clock.advance(1)
        self.log.expire(self.clock.now())

    def close(self) -> None:
        self.log.close()


class SqliteHarness(MemoryHarness):
    """owns: a log in a file and its clock."""

    def __init__(self, folder: Path, short: bool = False) -> None:
        self.clock = ManualClock()
        self._path = folder / "log.db"
        self.log = SqliteLog(str(self._path), SETTINGS, self.clock)

    def remake(self) -> None:
        self.log.close()
        for path in self._path.parent.glob("log.db*"):
            path.unlink()
        self.log = SqliteLog(str(self._path), SETTINGS, self.clock)


class ToOwner:
    """The appender of a process beside the owner, without the RPC between them."""

    def __init__(self, owner: SqliteLog) -> None:
        self._owner = owner
        self.begin_epoch = owner.begin_epoch
        self.commit_step = owner.commit_step

    def append(self, records: Sequence[NewRecord]) -> Sequence[Appended]:
        return self._owner.append(records).result(WAIT_S)


class FollowerHarness(SqliteHarness):
    """owns: a log in a file, and a second reader of that file which writes through the first."""

    groups = False

    def __init__(self, folder: Path, short: bool = False) -> None:
        super().__init__(folder)
        self.owner = self.log
        self.log = FollowerLog(str(self._path), ToOwner(self.owner))

    def remake(self) -> None:
        self.log.close()
        self.log = self.owner
        super().remake()
        self.owner = self.log
        self.log = FollowerLog(str(self._path), ToOwner(self.owner))

    def grow(self, topic: str, partitions: int) -> None:
        self.owner.grow(topic, partitions)

    def compact(self) -> None:
        self.owner.compact()

    def expire_all(self) -> None:
        self.clock.advance(1)
        self.owner.expire(self.clock.now())

    def close(self) -> None:
        self.log.close()
        self.owner.close()


class ClosingKafkaLog(KafkaLog):
    """owns, beside the log, what the tests leave open as a killed process would."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self.left: list[KafkaMember | KafkaTransaction] = []

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> KafkaMember:
        self.left.append(super().subscribe(group, topics, member))
        return self.left[-1]

    def transaction(self, transactional_id: str) -> KafkaTransaction:
        self.left.append(super().transaction(transactional_id))
        return self.left[-1]

    def close(self) -> None:
        for one in self.left:
            one.close()
        super().close()


class KafkaHarness(MemoryHarness):
    """owns: a log on the session's brokers under a prefix of its own, and an admin client. Time is the brokers'."""

    beat_s = WAIT_S
    #: The cleaner never touches the segment that is written to: its last record, and the last one before it, are left.
    compacted_copies = 2

    def __init__(self, folder: Path, short: bool = False) -> None:
        # A member that a busy machine keeps waiting is no dead one, unless the test wants it to die.
        session_s = 1.0 if short else SETTINGS.session_timeout_s
        self.settings = KafkaSettings(
            bootstrap=shared(),
            prefix=f"t{uuid.uuid4().hex[:12]}",
            partitions=4,
            replication=1,
            min_insync=1,
            metadata_s=0.5,
            session_timeout_s=session_s,
            poll_interval_s=session_s,
        )
        self.log = ClosingKafkaLog(self.settings)
        self.admin = KafkaAdminClient(bootstrap_servers=self.settings.bootstrap)

    def let_sessions_end(self) -> None:
        """Nobody polls, so every member is a dead one before long."""
        groups = [
            row["group_id"] for row in self.admin.list_groups() if row["group_id"].startswith(self.settings.prefix)
        ]
        wait_until(
            lambda: not any(row["members"] for row in self.admin.describe_groups(groups).values()), "empty groups"
        )

    def commit(self, claim: Any) -> None:
        metadata, offsets = claim
        producer = Library(self.settings, "test").producer("paused")
        try:
            producer.init_transactions()
            producer.begin_transaction()
            with translating("committing a claim"):
                send_offsets(producer, offsets, metadata, WAIT_S)
        finally:
            close_producer(producer, 1.0)

    def let_steps_be_seen(self) -> None:
        """Until no transaction is open on any topic: what is stable is all there is."""
        names = [full_name(self.settings.prefix, topic) for topic in TOPICS]
        partitions = [TopicPartition(name, p) for name in names for p in range(self.settings.partitions)]
        ends = []
        for level in ("read_committed", "read_uncommitted"):
            ends.append(KafkaConsumer(bootstrap_servers=self.settings.bootstrap, isolation_level=level))
        stable, all_there = ends
        try:
            wait_until(lambda: stable.end_offsets(partitions) == all_there.end_offsets(partitions), "stable ends")
        finally:
            for consumer in ends:
                consumer.close()

    def remake(self) -> None:
        self.log.close()
        names = [full_name(self.settings.prefix, topic) for topic in TOPICS]
        self.admin.delete_topics(names)
        wait_until(lambda: not set(names) & set(self.admin.list_topics()), "deleted topics")
        self.log = ClosingKafkaLog(self.settings)

    def grow(self, topic: str, partitions: int) -> None:
        self.log.grow(topic, partitions)
        wait_until(lambda: self.log.partitions(topic) == partitions, "added partitions")

    def compact(self) -> None:
        """Until the brokers' own cleaner has been there."""
        wait_until(lambda: len(everything(self.log, "arms")) <= 2 * self.compacted_copies, "compaction")

    def compact_eagerly(self) -> None:
        """Each write begins a segment, and the cleaner does not wait for more to do."""
        name = full_name(self.settings.prefix, "arms")
        eager = {"segment.ms": "1", "min.cleanable.dirty.ratio": "0.0", "min.compaction.lag.ms": "0"}
        resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=eager)
        self.admin.alter_configs([resource], incremental=True)

        def there() -> bool:
            found = self.admin.describe_configs([resource], config_filter="all")["topic"][name]
            return all(found[setting]["value"] == value for setting, value in eager.items())

        # Records written before would all lie in the one segment that is never cleaned.
        wait_until(there, "changed settings")

    def expire_all(self) -> None:
        """What retention does when its time has come: the brokers move the start of the log."""
        for topic in ("interactions", "feedback", "signals", "rounds", "deadletters"):
            name = full_name(self.settings.prefix, topic)
            ends = self.log.end_offsets(topic)
            self.admin.delete_records({TopicPartition(name, p): end for p, end in ends.items()})

    def close(self) -> None:
        self.log.close()
        self.admin.delete_topics([full_name(self.settings.prefix, topic) for topic in TOPICS])
        self.admin.close()


HARNESSES = {"memory": MemoryHarness, "sqlite": SqliteHarness, "follower": FollowerHarness, "kafka": KafkaHarness}


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryHarness]:
    made = HARNESSES[request.param](tmp_path, "short_sessions" in request.fixturenames)
    yield made
    made.close()


@pytest.fixture
def short_sessions() -> None:
    """Asked for where members die. On a busy machine others may be taken for dead too: what they had not committed
    comes again, and a test counts what came, not how often."""


@pytest.fixture
def log(harness: MemoryHarness) -> Log:
    return harness.log


#: Logs whose members share partitions out.
groups = pytest.mark.parametrize("harness", [name for name, h in HARNESSES.items() if h.groups], indirect=True)


def new(key: str, value: str, topic: str = "feedback", event_id: str = "", body: str = "") -> NewRecord:
    identity = Identity("acme", event_id, body) if event_id else None
    return NewRecord(topic, key.encode(), value.encode(), (("ce_id", value.encode()), ("odd", b"\x00\xff")), identity)


def put(log: Log, *records: NewRecord) -> list[str]:
    return [appended.outcome for appended in log.append(records).result(WAIT_S)]


def spread(log: Log, count: int, topic: str = "feedback") -> list[str]:
    """Appends `count` records of as many keys; the values, in order."""
    values = [f"v{i}" for i in range(count)]
    put(log, *(new(f"k{i}", value, topic) for i, value in enumerate(values)))
    return values


def everything(log: Log, topic: str = "feedback") -> list[Record]:
    out: list[Record] = []
    for partition, end in log.end_offsets(topic).items():
        at = 0
        while at < end and (records := log.read(topic, partition, at, 7)):
            out.extend(records)
            at = records[-1].offset + 1
    return out


def values(records: Sequence[Record]) -> list[str]:
    return [record.value.decode() for record in records]


def drain(consumer: Consumer, count: int) -> list[str]:
    """Polls until `count` records came; a group may need some polls to settle."""
    out: list[str] = []
    deadline = time.monotonic() + WAIT_S
    while len(out) < count and time.monotonic() < deadline:
        out.extend(values(consumer.poll(0.05)))
    return out


def came(consumer: Consumer, wanted: Sequence[str]) -> set[str]:
    """Polls until all of `wanted` came, however often; what came."""
    out: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while not out >= set(wanted) and time.monotonic() < deadline:
        out.update(values(consumer.poll(0.05)))
    return out


def settle(consumers: Sequence[Consumer], whole: frozenset[Partition]) -> None:
    """Polls everyone until the partitions are shared out among them evenly, each held once."""
    fair = {len(whole) // len(consumers), -(-len(whole) // len(consumers))}
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for consumer in consumers:
            consumer.poll(0.01, 1)
        held = [consumer.assignment() for consumer in consumers]
        if Counter(p for h in held for p in h) == Counter(whole) and {len(h) for h in held} <= fair:
            return
    raise AssertionError(f"not settled: {held}")


def partitions_of(log: Log, topic: str = "feedback") -> frozenset[Partition]:
    return frozenset((topic, p) for p in range(log.partitions(topic)))


def test_what_was_acknowledged_can_be_read(log: Log) -> None:
    """F06."""
    (appended,) = log.append([new("k", "v")]).result(WAIT_S)
    coordinate = appended.coordinate
    (record,) = log.read(coordinate.topic, coordinate.partition, coordinate.offset)
    assert (record.key, record.value, record.coordinate) == (b"k", b"v", coordinate)
    assert dict(record.headers) == {"ce_id": b"v", "odd": b"\x00\xff"}
    assert log.end_offsets("feedback")[coordinate.partition] > coordinate.offset


def test_records_of_one_key_keep_their_order_in_one_partition(log: Log) -> None:
    for i in range(20):
        put(log, new("one", f"{i}"), new(f"other{i}", "x"))
    mine = [record for record in everything(log) if record.key == b"one"]
    assert values(mine) == [f"{i}" for i in range(20)]
    assert len({record.partition for record in mine}) == 1
    assert all(a.offset < b.offset for a, b in pairwise(mine))


def test_keys_use_every_partition_and_a_read_is_as_long_as_asked(log: Log) -> None:
    sent = spread(log, 60)
    assert {record.partition for record in everything(log)} == set(range(log.partitions("feedback")))
    assert sorted(values(everything(log))) == sorted(sent)
    assert len(log.read("feedback", 0, 0, 3)) == 3


def test_a_second_copy_is_told_from_another_body(log: Log, harness: MemoryHarness) -> None:
    """F07, U01: the answer is a hint on some logs, so only what it may say is asked of all of them."""
    assert put(log, new("k", "a", event_id="e", body="one")) == ["recorded"]
    again = put(log, new("k", "a", event_id="e", body="one"), new("k", "b", event_id="e", body="two"))
    if harness.sees_first_copies:
        assert again == ["duplicate", "conflict"]
        assert put(log, *[new("k", "c", event_id="f", body="one")] * 2) == ["recorded", "duplicate"]
        assert values(everything(log)) == ["a", "c"]
    else:
        assert set(again) <= {"recorded", "duplicate", "conflict"}


def test_ids_are_unique_per_tenant_only(log: Log) -> None:
    other = NewRecord("feedback", b"k", b"v", identity=Identity("other", "e", "two"))
    assert put(log, new("k", "a", event_id="e", body="one"), other) == ["recorded", "recorded"]


def test_unknown_topics_and_partitions_are_named(log: Log) -> None:
    with pytest.raises(UnknownRow):
        log.topic_id("nosuch")
    with pytest.raises(NotFound):
        log.read("feedback", 99, 0)
    try:
        log.append([new("k", "v", "nosuch")]).result(WAIT_S)
    except UnknownRow:
        return
    raise AssertionError("a record for no topic was taken")


def test_a_closed_log_takes_nothing_and_closes_twice(harness: MemoryHarness) -> None:
    harness.log.close()
    harness.log.close()
    with pytest.raises(LogUnavailable):
        harness.log.append([new("k", "v")]).result(WAIT_S)


def test_a_group_begins_at_the_first_record_and_ends_with_nothing(log: Log) -> None:
    sent = spread(log, 20)
    consumer = log.subscribe("g", ["feedback"], "m1")
    assert sorted(drain(consumer, 20)) == sorted(sent)
    assert list(consumer.poll(0.0)) == []
    assert consumer.assignment() == partitions_of(log)
    consumer.close()


def test_a_poll_wakes_when_something_is_appended(log: Log) -> None:
    consumer = log.subscribe("g", ["feedback"], "m1")
    drain(consumer, 0)
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.extend(values(consumer.poll(WAIT_S))))
    thread.start()
    put(log, new("k", "v"))
    thread.join(WAIT_S)
    assert got == ["v"]
    consumer.close()


def test_a_poll_gives_no_more_than_asked_and_skips_nothing(log: Log) -> None:
    sent = spread(log, 30)
    consumer = log.subscribe("g", ["feedback"], "m1")
    batches: list[Sequence[Record]] = []
    deadline = time.monotonic() + WAIT_S
    while sum(map(len, batches)) < len(sent) and time.monotonic() < deadline:
        batches.append(consumer.poll(0.2, 4))
    batches.append(consumer.poll(0.0, 4))
    assert max(len(batch) for batch in batches) <= 4
    assert sorted(v for batch in batches for v in values(batch)) == sorted(sent)
    consumer.close()


def test_a_long_partition_does_not_keep_the_others_waiting(log: Log) -> None:
    spread(log, 40)
    put(log, *(new("busy", f"b{i}") for i in range(60)))
    consumer = log.subscribe("g", ["feedback"], "m1")
    soon: list[int] = []
    deadline = time.monotonic() + WAIT_S
    while len(soon) < 16 and time.monotonic() < deadline:
        soon += [record.partition for record in consumer.poll(0.2, 2)]
    assert set(soon) == set(range(log.partitions("feedback")))
    consumer.close()


@pytest.mark.usefixtures("short_sessions")
def test_what_was_polled_but_not_committed_comes_again_after_a_kill(log: Log, harness: MemoryHarness) -> None:
    sent = spread(log, 12)
    dead = log.subscribe("g", ["feedback"], "m1")
    assert came(dead, sent) == set(sent)
    harness.let_sessions_end()
    heir = log.subscribe("g", ["feedback"], "m2")
    assert came(heir, sent) == set(sent)
    heir.close()


def test_what_was_committed_does_not_come_again(log: Log, harness: MemoryHarness) -> None:
    spread(log, 12)
    consumer = log.subscribe("g", ["feedback"], "m1")
    drain(consumer, 12)
    consumer.commit()
    consumer.close()
    put(log, new("k", "later"))
    heir = log.subscribe("g", ["feedback"], "m2")
    assert drain(heir, 1) == ["later"]
    heir.close()


def test_groups_do_not_move_each_other(log: Log) -> None:
    spread(log, 5)
    one = log.subscribe("one", ["feedback"], "m1")
    drain(one, 5)
    one.commit()
    two = log.subscribe("two", ["feedback"], "m1")
    assert len(drain(two, 5)) == 5
    one.close()
    two.close()


def test_rewinding_gives_back_what_was_not_committed(log: Log) -> None:
    spread(log, 5)
    consumer = log.subscribe("g", ["feedback"], "m1")
    drain(consumer, 5)
    consumer.commit()
    put(log, new("k", "once more"))
    assert drain(consumer, 1) == ["once more"]
    consumer.rewind()
    assert drain(consumer, 1) == ["once more"]
    consumer.close()


def test_seeking_moves_one_partition(log: Log) -> None:
    (appended,) = log.append([new("k", "v")]).result(WAIT_S)
    where = ("feedback", appended.coordinate.partition)
    consumer = log.subscribe("g", ["feedback"], "m1")
    assert drain(consumer, 1) == ["v"]
    consumer.seek(where, appended.coordinate.offset)
    assert drain(consumer, 1) == ["v"]
    with pytest.raises(KeyError):
        consumer.seek(("signals", 0), 0)
    consumer.close()


@groups
@pytest.mark.usefixtures("short_sessions")
def test_partitions_are_shared_out_from_one_member_to_three_and_back(log: Log, harness: MemoryHarness) -> None:
    whole = partitions_of(log)
    sent = spread(log, 40)
    first = log.subscribe("g", ["feedback"], "m1")
    settle([first], whole)
    rest = [log.subscribe("g", ["feedback"], name) for name in ("m2", "m3")]
    settle([first, *rest], whole)
    rest[0].close()
    del rest[1]  # killed: it says nothing, so its session has to run out
    harness.let_sessions_end()
    settle([first], whole)
    first.rewind()
    assert came(first, sent) == set(sent)
    first.close()


@groups
@pytest.mark.usefixtures("short_sessions")
def test_a_member_that_lost_a_partition_cannot_commit(log: Log, harness: MemoryHarness) -> None:
    sent = spread(log, 12)
    zombie = log.subscribe("g", ["feedback"], "m1")
    drain(zombie, 12)
    harness.let_sessions_end()
    heir = log.subscribe("g", ["feedback"], "m2")
    settle([heir], partitions_of(log))
    with pytest.raises(Rebalanced):
        zombie.commit()
    transaction = log.transaction("slot-0")
    with pytest.raises(Fenced):
        transaction.step([new("k", "zombie's", "signals")], zombie)
    harness.let_steps_be_seen()
    assert everything(log, "signals") == []
    heir.rewind()
    assert came(heir, sent) == set(sent)
    heir.close()


@groups
@pytest.mark.usefixtures("short_sessions")
def test_a_member_that_got_its_partition_back_cannot_commit_what_it_read_before(
    log: Log, harness: MemoryHarness
) -> None:
    spread(log, 12)
    slow = log.subscribe("g", ["feedback"], "m1")
    drain(slow, 12)
    before = slow.claim()
    harness.let_sessions_end()
    other = log.subscribe("g", ["feedback"], "m2")
    settle([other], partitions_of(log))
    other.close()
    settle([slow], partitions_of(log))
    with pytest.raises(Fenced):
        harness.commit(before)
    slow.close()


@groups
def test_a_member_that_comes_back_under_its_name_takes_over_at_once(log: Log, harness: MemoryHarness) -> None:
    sent = spread(log, 12)
    old = log.subscribe("g", ["feedback"], "m1")
    drain(old, 12)
    young = log.subscribe("g", ["feedback"], "m1")
    assert sorted(drain(young, 12)) == sorted(sent)
    with pytest.raises(Fenced):
        old.commit()
    heard_of(lambda: old.poll(0.0), harness.beat_s)
    young.close()


def heard_of(poll: Callable[[], Sequence[Record]], within_s: float) -> None:
    """Polls until it raises Fenced; nothing is handed out meanwhile."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            assert not poll()
        except Fenced:
            return
        assert time.monotonic() < deadline, "not fenced"


def test_a_step_carries_records_and_positions(log: Log, harness: MemoryHarness) -> None:
    spread(log, 6)
    consumer = log.subscribe("g", ["feedback"], "m1")
    drain(consumer, 6)
    coordinates = log.transaction("slot-0").step([new("k", "s1", "signals"), new("k", "s2", "signals")], consumer)
    assert [c.topic for c in coordinates] == ["signals", "signals"]
    harness.let_steps_be_seen()
    assert values(everything(log, "signals")) == ["s1", "s2"]
    consumer.rewind()
    assert list(consumer.poll(0.05)) == []
    consumer.close()


def whole_steps(seen: Sequence[str], size: int) -> bool:
    """Whether values "<step>/<i>" of one key hold only whole steps of `size`."""
    return all(count == size for count in Counter(value.split("/")[0] for value in seen).values())


def test_a_reader_beside_sees_all_of_a_step_or_nothing(log: Log, harness: MemoryHarness) -> None:
    (first,) = log.append([new("k", "0/0"), new("k", "0/1"), new("k", "0/2")][:1]).result(WAIT_S)
    partition, start = first.coordinate.partition, first.coordinate.offset
    assert not whole_steps(values(log.read("feedback", partition, start)), 3), "the check itself must see a torn step"
    put(log, new("k", "0/1"), new("k", "0/2"))
    done = threading.Event()
    torn: list[list[str]] = []
    looks = [0]

    def look() -> None:
        while not done.is_set():
            seen = values(log.read("feedback", partition, start, 10_000))
            looks[0] += 1
            if not whole_steps(seen, 3):
                torn.append(seen[-4:])

    thread = threading.Thread(target=look)
    thread.start()
    transaction = log.transaction("slot-0")
    for step in range(1, 31):
        transaction.step([new("k", f"{step}/{i}") for i in range(3)])
    done.set()
    thread.join()
    harness.let_steps_be_seen()
    assert torn == []
    assert looks[0] > 0
    assert len(log.read("feedback", partition, start, 10_000)) == 93


def test_a_later_holder_fences_the_earlier_one(log: Log, harness: MemoryHarness) -> None:
    """The paused leader: it wakes, writes, and must not be heard."""
    old = log.transaction("arms/assist")
    old.step([new("assist", "one", "arms")])
    young = log.transaction("arms/assist")
    with pytest.raises(Fenced):
        old.step([new("assist", "stale", "arms")])
    young.step([new("assist", "two", "arms")])
    other = log.transaction("arms/other")
    other.step([new("other", "three", "arms")])
    harness.let_steps_be_seen()
    assert values(r for r in everything(log, "arms") if r.key == b"assist") == ["one", "two"]


def test_a_fenced_step_moves_no_position(log: Log, harness: MemoryHarness) -> None:
    sent = spread(log, 6)
    old = log.transaction("slot-0")
    consumer = log.subscribe("g", ["feedback"], "m1")
    drain(consumer, 6)
    log.transaction("slot-0")
    with pytest.raises(Fenced):
        old.step([new("k", "s", "signals")], consumer)
    consumer.rewind()
    assert sorted(drain(consumer, 6)) == sorted(sent)
    harness.let_steps_be_seen()
    assert everything(log, "signals") == []
    consumer.close()


def test_a_log_made_anew_is_known_by_its_topic_id(harness: MemoryHarness) -> None:
    before = harness.log.topic_id("feedback")
    assert before == harness.log.topic_id("feedback") != harness.log.topic_id("signals")
    spread(harness.log, 8)
    ends = harness.log.end_offsets("feedback")
    harness.remake()
    assert harness.log.topic_id("feedback") != before
    consumer = harness.log.subscribe("projector", ["feedback"], "m1")
    consumer.poll(0.0)
    for partition, offset in ends.items():
        consumer.seek(("feedback", partition), offset)
    with pytest.raises(LogReplaced):
        drain(consumer, 1)
    consumer.close()


def test_added_partitions_lose_nothing_and_are_read(harness: MemoryHarness) -> None:
    log = harness.log
    sent = spread(log, 20)
    consumer = log.subscribe("g", ["feedback"], "m1")
    got = drain(consumer, 20)
    identity = log.topic_id("feedback")
    harness.grow("feedback", 6)
    more = [f"w{i}" for i in range(40)]
    put(log, *(new(f"k{i}", value) for i, value in enumerate(more)))
    got += drain(consumer, 40)
    assert sorted(got) == sorted(sent + more)
    assert consumer.assignment() == partitions_of(log)
    assert log.partitions("feedback") == 6
    assert log.topic_id("feedback") == identity
    assert {r.partition for r in everything(log)} == set(range(6))
    with pytest.raises(BadSettings):
        harness.grow("feedback", 2)
    consumer.close()


def test_compaction_keeps_the_last_record_of_a_key_and_every_reader_goes_on(harness: MemoryHarness) -> None:
    log = harness.log
    harness.compact_eagerly()
    for i in range(10):
        put(log, new("assist", f"a{i}", "arms"), new("other", f"o{i}", "arms"))
    reader = log.subscribe("g", ["arms"], "m1")
    assert drain(reader, 1)
    reader.rewind()
    ends = log.end_offsets("arms")
    harness.compact()
    assert log.end_offsets("arms") == ends
    last = {record.key: record.value for record in everything(log, "arms")}
    assert last == {b"assist": b"a9", b"other": b"o9"}
    left = values(everything(log, "arms"))
    assert len(left) <= 2 * harness.compacted_copies
    assert {"a9", "o9"} <= set(drain(reader, len(left)))
    put(log, new("assist", "a10", "arms"))
    assert drain(reader, 1)[-1] == "a10"
    reader.close()


def test_a_partition_is_read_again_from_its_start_after_others(harness: MemoryHarness) -> None:
    """As a replay does: the first record of every partition, then all of them."""
    log = harness.log
    spread(log, 20)
    put(log, new("k", "x", "signals"), new("k", "y", "rounds"))
    topics = ("feedback", "signals", "rounds")
    firsts = [log.read(t, p, 0, 1) for t in topics for p in log.end_offsets(t)]
    assert sum(map(len, firsts)) == len([records for records in firsts if records])
    assert [len(everything(log, topic)) for topic in topics] == [20, 1, 1]


def test_retention_moves_the_start_never_the_end(harness: MemoryHarness) -> None:
    log = harness.log
    spread(log, 20)
    put(log, new("assist", "kept", "arms"))
    reader = log.subscribe("g", ["feedback"], "m1")
    reader.poll(0.0, 1)
    ends = log.end_offsets("feedback")
    harness.expire_all()
    assert log.start_offsets("feedback") == log.end_offsets("feedback") == ends
    assert everything(log) == []
    assert log.end_offsets("feedback") == ends, "who reads from the very beginning moves no end either"
    assert values(everything(log, "arms")) == ["kept"]
    (appended,) = log.append([new("k", "new")]).result(WAIT_S)
    assert appended.coordinate.offset == ends[appended.coordinate.partition]
    assert drain(reader, 1) == ["new"]
    reader.close()

"""The ledger's content is a function of the set of records: any order, batching, redelivery or number of partitions
gives the same digest and the same counters, in SQLite and in PostgreSQL.

Contracts: Deduplication, Parked, Replay, Erasure (F06, F07, U01, U17)."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rejoinder.core import codec, types
from rejoinder.core.clock import ManualClock
from rejoinder.core.ids import answer_digest, subject_of
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.intake import settler
from rejoinder.ledger.intake.projector import Projector
from rejoinder.ledger.settings import Forgetting, LedgerSettings
from rejoinder.ledger.stores.dialect import Where
from rejoinder.ledger.stores.rows import Arrived
from rejoinder.ledger.stores.schema import feedback as feedback_table
from rejoinder.ledger.stores.schema import interactions as interactions_table
from rejoinder.ledger.stores.schema import meta, metadata, tombstones
from rejoinder.stream.headers import record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Record
from rejoinder.stream.topics import TOPICS
from sqlalchemy import delete, select

from tests.postgresql import Server

NOW = 1_700_000_000.0
KEY = b"key"
SETTINGS = LedgerSettings(Forgetting(KEY))
TOPIC_OF = {topic.value: topic.name for topic in TOPICS.values() if topic.value}

users = st.sampled_from(["ann", "bob", ""])
conversations = st.sampled_from(["c1", "c2", ""])
moments = st.sampled_from([0.0, 1.0, 60.0, 3_600.0, 90_000.0, 8 * 86_400.0])
answers = st.sampled_from(["Yes.", "It is 20 C.", "It is 68 F."])


@st.composite
def interactions(draw: st.DrawFn) -> types.Interaction:
    asked: tuple[types.Message, ...] = (types.Message(types.Role.USER, "hello"),)
    if draw(st.booleans()):
        asked = (types.Message(types.Role.ASSISTANT, draw(answers)), *asked)
    at = NOW + draw(moments)
    return types.Interaction(
        tenant="t",
        event_id=draw(st.sampled_from(["e1", "e2", "e3", "e4", "e5", "e6"])),
        interaction_id=draw(st.sampled_from(["x1", "x2", "x3"])),
        attempt_id=draw(st.sampled_from(["a1", "a2"])),
        conversation_id=draw(conversations),
        parent_interaction_id=draw(st.sampled_from(["", "", "x1"])),
        turn=draw(st.sampled_from([0, 1, 2])),
        user_id=draw(users),
        principal="app",
        messages=asked,
        response=draw(answers),
        served=types.Served("assist", draw(st.sampled_from(["v1", "v2"]))),
        status=draw(st.sampled_from([types.AttemptStatus.COMPLETED, types.AttemptStatus.FAILED])),
        occurred_at=at,
        accepted_at=at + draw(st.sampled_from([0.0, 5.0])),
    )


@st.composite
def said(draw: st.DrawFn) -> types.Feedback:
    at = NOW + draw(moments)
    kinds = st.sampled_from(
        [
            types.FollowUp("thanks"),
            types.Rating(number=1.0, scale_max=1.0),
            types.Rating(number=0.0, scale_max=1.0),
            types.Comparison("x2", "", types.Choice.THIS),
            types.Edit("It was 20 C."),
        ]
    )
    return types.Feedback(
        tenant="t",
        event_id=draw(st.sampled_from(["e5", "e6", "f1", "f2", "f3", "f4"])),
        interaction_id=draw(st.sampled_from(["x1", "x2", "x3", "", ""])),
        attempt_id=draw(st.sampled_from(["", "", "a1"])),
        conversation_id=draw(conversations),
        turn=draw(st.sampled_from([0, 1, 2])),
        answer_digest=draw(st.sampled_from(["", answer_digest("Yes."), answer_digest("It is 20 C.")])),
        user_id=draw(users),
        principal="app",
        occurred_at=at + draw(st.sampled_from([0.0, 30.0])),
        accepted_at=at + 1.0,
        kind=draw(kinds),
    )


@st.composite
def signals(draw: st.DrawFn) -> types.Signal:
    return types.Signal(
        tenant="t",
        event_id=draw(st.sampled_from(["s1", "s2"])),
        source_event_id=draw(st.sampled_from(["f1", "f2"])),
        interaction_id=draw(st.sampled_from(["x1", "x2"])),
        user_id=draw(users),
        polarity=draw(st.sampled_from([types.Polarity.SAT, types.Polarity.DSAT])),
        extractor="x",
        occurred_at=NOW,
        accepted_at=NOW + draw(moments),
    )


@st.composite
def erasures(draw: st.DrawFn) -> types.Erasure:
    user, after = draw(st.sampled_from(["ann", "bob"])), draw(moments)
    return types.Erasure(subject_of(KEY, "t", user), f"{user}-{after}", NOW + after, 10.0)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records at fixed places, with garbage, duplicates and conflicts among them."""
    events = draw(st.lists(st.one_of(interactions(), interactions(), said(), said(), signals()), max_size=14))
    again = draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    restamped = [replace(event, accepted_at=(event.accepted_at or NOW) + 2.0) for event in again]
    gone = draw(st.lists(erasures(), max_size=2))
    everything = draw(st.permutations([*events, *restamped, *gone, b"\xff garbage"]))
    late = draw(st.sets(st.integers(0, 30), max_size=2))
    ends: dict[tuple[str, int], int] = {}
    out = []
    for index, event in enumerate(everything):
        value, topic = (event, "feedback") if isinstance(event, bytes) else (codec.encode(event), TOPIC_OF[type(event)])
        part = draw(st.integers(0, 1))
        offset = ends.get((topic, part), 0)
        ends[topic, part] = offset + 1
        out.append(Record(topic, part, offset, b"", value, (), NOW + (60 if index in late else 0) * 86_400.0))
    return out


def chunked(rng: random.Random, pool: Sequence[Record]) -> list[list[Record]]:
    out, at = [], 0
    while at < len(pool):
        size = rng.randint(1, 6)
        out.append(list(pool[at : at + size]))
        at += size
    return out


#: Gives a place for a new ledger until the block ends.
Places = Callable[[], AbstractContextManager[Where]]


@contextmanager
def in_a_file() -> Iterator[Where]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "ledger.db"


def in_postgres(server: Server) -> Places:
    @contextmanager
    def place() -> Iterator[Where]:
        where = server.database()
        yield where
        server.give_back(where)

    return place


@pytest.fixture(params=("sqlite", "postgres"))
def places(request: pytest.FixtureRequest) -> Places:
    return in_a_file if request.param == "sqlite" else in_postgres(request.getfixturevalue("postgres"))


#: Digest, counters and marks.
State = tuple[str, object, object]


def state_after(place: Places, batches: Sequence[Sequence[Record]]) -> State:
    """Of a ledger that took these batches."""
    with place() as where, Ledger(where, SETTINGS, ManualClock(NOW)) as ledger:
        return taken(ledger, batches)


def taken(ledger: Ledger, batches: Sequence[Sequence[Record]]) -> State:
    projector = Projector(ledger.store, SETTINGS, ManualClock(NOW))
    for batch in batches:
        with ledger.store.writing() as connection:
            projector.apply(connection, batch, {record.topic: "id" for record in batch})
    counters = [replace(row, position=0) for row in ledger.parity()]
    assert all(row.balanced for row in counters)
    assert not ledger.audit()
    with ledger.store.reading() as connection:
        marks = set(connection.execute(select(tombstones)).all())
    return ledger.digest(), counters, marks


@contextmanager
def one_after_another() -> Iterator[Callable[[Sequence[Sequence[Record]]], State]]:
    """`state_after` for many examples: one ledger in a file, empty before each. A new one costs as much as most of the
    work, since every statement is compiled anew."""
    with in_a_file() as where, Ledger(where, SETTINGS, ManualClock(NOW)) as ledger:

        def state(batches: Sequence[Sequence[Record]]) -> State:
            with ledger.store.writing() as connection:
                for table in metadata.tables.values():
                    if table is not meta:
                        connection.execute(delete(table))
                connection.exec_driver_sql("DELETE FROM sqlite_sequence")
            return taken(ledger, batches)

        yield state


def test_no_order_and_no_batching_changes_the_ledger() -> None:
    with one_after_another() as state:

        @given(records(), st.integers(0, 1 << 30))
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        def holds(pool: list[Record], seed: int) -> None:
            rng = random.Random(seed)
            shuffled = rng.sample(pool, len(pool))
            whole = state([pool])
            assert state([[record] for record in pool]) == whole
            assert state(chunked(rng, shuffled)) == whole

        holds()


def test_both_stores_hold_the_same_ledger_in_whatever_order(postgres: Server) -> None:
    """Digest, counters and marks of one database are those of the other, which read the same in another order."""
    place = in_postgres(postgres)
    with one_after_another() as state:

        @given(records(), st.integers(0, 1 << 30))
        @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
        def holds(pool: list[Record], seed: int) -> None:
            rng = random.Random(seed)
            shuffled = state_after(place, chunked(rng, rng.sample(pool, len(pool))))
            assert shuffled == state([pool])

        holds()


def an_application(seed: int) -> list[types.Interaction | types.Feedback | types.Signal]:
    """Conversations of several turns, each answered in kind, now and then sent twice or early."""
    rng = random.Random(seed)
    events: list[types.Interaction | types.Feedback | types.Signal] = []
    for number in range(40):
        conversation, turn = f"c{number % 10}", number // 10 + 1
        user, at = f"u{number % 10 // 2}", NOW + 60 * number
        answer = types.Interaction(
            tenant="t",
            event_id=f"i{number}",
            interaction_id=f"x{number}",
            attempt_id=f"a{number}",
            conversation_id=conversation,
            turn=turn,
            user_id=user,
            principal="app",
            response=f"answer {number % 3}",
            served=types.Served("assist", rng.choice(["v1", "v2"])),
            occurred_at=at,
            accepted_at=at,
        )
        how = rng.choice(
            [
                {"interaction_id": f"x{rng.randrange(45)}"},
                {"conversation_id": conversation, "turn": turn},
                {"answer_digest": answer_digest(f"answer {number % 3}")},
            ]
        )
        said_at = at + rng.choice([-5.0, 20.0])
        feedback = types.Feedback(
            tenant="t",
            event_id=f"f{number}",
            user_id=user,
            principal="app",
            occurred_at=said_at,
            accepted_at=said_at,
            kind=types.Rating(number=rng.random(), scale_max=1.0),
            **how,
        )
        events += rng.sample([answer, feedback], 2)
        if rng.random() < 0.3:
            events.append(replace(rng.choice([answer, feedback]), accepted_at=at + 30))
    return events


def test_adding_partitions_changes_no_result(places: Places) -> None:
    digests, joined = set(), set()
    for partitions in (1, 2, 3, 7):
        log = MemoryLog(ManualClock(NOW), partitions)
        for event in an_application(3):
            log.append([replace(record_of(event, "tests"), identity=None)]).result()
        with places() as where, Ledger(where, SETTINGS, ManualClock(NOW)) as ledger:
            ledger.project(log)
            digests.add(ledger.digest())
            joined.add((ledger.joining().joined, ledger.joining().foreign))
    assert len(digests) == 1
    assert len(joined) == 1
    assert joined.pop()[0] > 20


def test_every_acknowledged_id_is_stored_exactly_once(places: Places) -> None:
    log = MemoryLog(ManualClock(NOW), 4)
    acknowledged = set()
    for event in an_application(4):
        log.append([replace(record_of(event, "tests"), identity=None)]).result()
        acknowledged.add((type(event).__name__, event.event_id))
    with places() as where, Ledger(where, SETTINGS, ManualClock(NOW)) as ledger:
        ledger.project(log)
        with ledger.store.reading() as connection:
            held = [("Interaction", name) for (name,) in connection.execute(select(interactions_table.c.event_id))]
            held += [("Feedback", name) for (name,) in connection.execute(select(feedback_table.c.event_id))]
    assert set(held) == acknowledged
    assert len(held) == len(acknowledged)


def test_a_rule_that_is_no_function_of_the_set_is_found_out(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where the highest of what is at hand wins, batches show in the ledger."""

    def highest(copies: Iterable[Arrived]) -> tuple[Arrived, list[tuple[Arrived, str]]]:
        *others, winner = sorted(copies, key=lambda copy: copy.place)
        return winner, [(copy, "conflict") for copy in others]

    first = types.Feedback(tenant="t", event_id="f1", accepted_at=NOW, kind=types.Rating(number=1.0))
    bodies = (first, replace(first, kind=types.Rating(number=0.0)))
    pool = [Record("feedback", 0, n, b"", codec.encode(body), (), NOW) for n, body in enumerate(bodies)]
    assert state_after(places, [pool]) == state_after(places, [[record] for record in pool])
    monkeypatch.setattr(settler, "settle", highest)
    assert state_after(places, [pool]) != state_after(places, [[record] for record in pool])

"""ledger/relay: every number that was joined is told, whatever dies in between; and a group's place is believed only
once its signals can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Fenced, LogUnavailable, RejoinderError
from rejoinder.ledger.intake.relay import LOOK_S, REFUSED_MAX_S, TOPIC, Relay, keep_relaying
from rejoinder.ledger.reading.evidence import note_reader, places
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Appended, NewRecord
from rejoinder.stream.topics import OwnTopics, with_own

GROUP = "signals:set"


class Brokers(MemoryLog):
    """A log with what Kafka adds: groups' positions, and steps that are committed before everybody sees them. owns: the
    positions, `open` records that are written and not decided, partitions `added` that this process has not heard of
    yet, and whether it is away."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.positions: dict[int, int] = {}
        self.open = 0
        self.added: dict[int, int] = {}
        self.away = False
        self.renamed = ""

    def topic_id(self, topic: str) -> str:
        if self.away:
            raise LogUnavailable("away")
        return super().topic_id(topic) + self.renamed

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        if self.away:
            raise LogUnavailable("away")
        return super().append(records)

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        assert topic == TOPIC
        return self.positions if group == GROUP else {}

    def written(self, topic: str, decided: bool = False) -> Mapping[int, int]:
        ends = {part: end + (0 if decided else self.open) for part, end in self.end_offsets(topic).items()}
        return ends | self.added

    def told(self) -> list[int]:
        every = [r for part in range(self.partitions(TOPIC)) for r in self.read(TOPIC, part, 0)]
        return sorted(event_of(record).number for record in every)


class World:
    """owns: a ledger, what it was made from, and the brokers that it tells."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.clock = ManualClock()
        self.ledger = bench.ledger()
        self.source = bench.log()
        self.brokers = Brokers(self.clock)
        self.relay = self.another()

    def another(self) -> Relay:
        return Relay(self.ledger.store, self.brokers, self.clock)

    def join(self, *names: str) -> None:
        for name in names:
            self.source.put(self.bench.answer(f"x{name}"))
            self.source.put(self.bench.said(f"f{name}", f"x{name}"))
        self.ledger.project(self.source)

    def look(self, relay: Relay | None = None) -> None:
        self.clock.advance(LOOK_S)
        (relay or self.relay).turn()

    def place(self) -> int:
        return places(self.ledger.store)[GROUP]

    def read_everything(self) -> None:
        self.brokers.positions = dict(self.brokers.end_offsets(TOPIC))


@pytest.fixture
def world(bench) -> World:
    made = World(bench)
    note_reader(made.ledger.store, GROUP)
    return made


def test_what_is_joined_is_told_once_without_a_word_of_anybody(world: World) -> None:
    world.join("a", "b")
    assert [world.relay.turn(), world.relay.turn()] == [2, 0]
    world.join("c")
    world.relay.turn()
    assert world.brokers.told() == [1, 2, 3]
    said = b"".join(r.key + r.value for part in range(3) for r in world.brokers.read(TOPIC, part, 0))
    assert not any(word in said for word in (b"ann", b"xa", b"fa", b"Celsius"))


def test_a_log_that_is_away_is_told_later_and_a_successor_goes_on_where_it_was(world: World) -> None:
    """F06: nothing that was joined is forgotten."""
    world.join("a")
    world.relay.turn()
    world.join("b")
    world.brokers.away = True
    with pytest.raises(LogUnavailable):
        world.relay.turn()
    world.brokers.away = False
    assert world.another().turn() == 1
    assert world.brokers.told() == [1, 2]


def test_a_log_that_is_away_at_the_start_is_not_told_everything_anew(world: World) -> None:
    """It is asked again at once, and nothing is told from a place that is not known yet."""
    world.join("a", "b")
    world.relay.turn()
    heir = world.another()
    world.brokers.away = True
    with pytest.raises(LogUnavailable):
        heir.turn()
    world.brokers.away = False
    assert heir.turn() == 0
    assert world.brokers.told() == [1, 2]


def test_killed_between_telling_and_noting_it_tells_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.join("a")

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rejoinder.ledger.intake.relay.acknowledge", killed)
        with pytest.raises(KeyboardInterrupt):
            world.relay.turn()
    world.another().turn()
    assert world.brokers.told() == [1, 1]


def test_on_a_topic_that_was_made_anew_everything_is_told_again(world: World) -> None:
    world.join("a", "b")
    world.relay.turn()
    world.brokers.renamed = " made anew"
    world.look()
    assert world.brokers.told() == [1, 1, 2, 2]
    assert world.another().turn() == 0


def test_a_groups_place_follows_its_positions_on_every_partition(world: World) -> None:
    world.join(*"abcdefgh")
    world.look()
    behind = dict(world.brokers.end_offsets(TOPIC))
    part = next(part for part, end in behind.items() if end)
    behind[part] -= 1
    world.brokers.positions = behind
    world.look()
    assert world.place() == 0
    world.read_everything()
    world.look()
    assert world.place() == 8
    world.join("i")
    world.look()
    assert world.place() == 8


def test_a_group_that_is_far_behind_is_heard_of_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never comes near the end would hold every verdict up for ever."""
    monkeypatch.setattr("rejoinder.ledger.intake.relay.REMEMBERED", 8)
    monkeypatch.setattr("rejoinder.ledger.intake.relay.FINE", 4)
    for n in range(40):
        world.join(str(n))
        world.relay.turn()
        if n == 19:
            world.read_everything()
    world.look()
    world.look()
    assert 10 <= world.place() <= 20
    world.read_everything()
    world.look()
    world.look()
    assert world.place() == 40


def test_a_place_is_believed_only_once_the_steps_before_it_are_decided(world: World) -> None:
    """The brokers mark a step partition by partition: its position may be seen before its signals."""
    world.join("a")
    world.look()
    world.read_everything()
    world.brokers.open = 1
    world.look()
    world.look()
    assert world.place() == 0
    world.brokers.append([NewRecord("signals", f"k{n}".encode(), b"v") for n in range(30)]).result()
    world.look()
    assert world.place() == 1


def test_a_place_is_believed_only_once_partitions_that_were_added_are_known_here(world: World) -> None:
    """Else the verdict reads on without the signals that lie there."""
    world.join("a")
    world.look()
    world.read_everything()
    new = world.brokers.partitions("signals")
    world.brokers.added = {new: 1}
    world.look()
    world.look()
    assert world.place() == 0
    world.brokers.grow("signals", new + 1)
    world.look()
    assert world.place() == 1


def test_a_process_that_starts_again_knows_of_what_was_told_before(world: World) -> None:
    world.join("a", "b")
    world.look()
    world.read_everything()
    heir = world.another()
    world.look(heir)
    assert world.place() == 2


def test_a_group_that_nobody_has_heard_of_is_at_its_beginning(world: World) -> None:
    note_reader(world.ledger.store, "signals:new")
    world.join("a")
    world.look()
    world.read_everything()
    world.look()
    assert places(world.ledger.store)["signals:new"] == 0


class Turns:
    """A relay whose turns end as told. owns: how they end, and `stop`."""

    def __init__(self, *ends: int | RejoinderError) -> None:
        self.ends = list(ends)
        self.stop = asyncio.Event()

    def turn(self) -> int:
        end = self.ends.pop(0)
        if isinstance(end, RejoinderError):
            raise end
        return end


async def kept(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[str]]:
    """The pauses that were made, and the reasons that were heard."""
    pauses, reasons = [], []

    async def passed(waiting: Coroutine[object, object, object], pause: float) -> None:
        waiting.close()
        pauses.append(pause)
        if not turns.ends:
            turns.stop.set()
        raise TimeoutError

    monkeypatch.setattr("rejoinder.ledger.intake.relay.asyncio.wait_for", passed)
    await keep_relaying(turns, 0.2, turns.stop, lambda error: reasons.append(error.reason))  # type: ignore[arg-type]
    return pauses, reasons


async def test_a_log_that_refuses_is_asked_more_and_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right that is missing breaks the producer by which erasures are appended too."""
    refused, away = LogUnavailable("not allowed"), LogUnavailable("away", retry_after_s=1.0)
    pauses, reasons = await kept(Turns(*[refused] * 3, 0, refused, away), monkeypatch)
    assert pauses == [0.2, 0.4, 0.8, 0.2, 0.2, 1.0]
    assert reasons == ["LOG_UNAVAILABLE"] * 5
    pauses, _ = await kept(Turns(*[refused] * 12), monkeypatch)
    assert max(pauses) == REFUSED_MAX_S


async def test_another_owner_of_the_ledger_ends_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Fenced):
        await kept(Turns(0, Fenced("another owner")), monkeypatch)


class Divided(Brokers):
    """Brokers on which the tenant "own" has topics of its own. owns: the positions by topic."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.at: dict[str, dict[int, int]] = {}
        self.remade = ""

    def divide(self, generation: int = 1) -> None:
        own = MemoryLog(self._clock, topics=with_own({"own": OwnTopics(generation=generation)}))
        kept = own.topics.keys() & self.topics.keys()
        own._runs.update({name: self._runs[name] for name in kept})
        own._ids.update({name: self._ids[name] for name in kept})
        self._runs, self._ids, self.topics, self._routes = own._runs, own._ids, own.topics, own._routes

    def topic_id(self, topic: str) -> str:
        return super().topic_id(topic) + (self.remade if "@" in topic else "")

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        return self.at.get(topic, {}) if group == GROUP else {}

    def lying(self, topic: str) -> list[int]:
        every = [r for part in range(self.partitions(topic)) for r in self.read(topic, part, 0)]
        return sorted(event_of(record).number for record in every)


def test_a_tenant_that_gets_topics_of_its_own_is_told_there_what_is_new(world: World) -> None:
    """And a group's place is believed only once it has read both. Where its topic is made anew, all is told again."""
    world.brokers = Divided(world.clock)
    world.relay = world.another()
    for name in ("a", "b"):
        if name == "b":
            world.brokers.divide()
            world.relay = world.another()
        for tenant in ("t", "own"):
            world.source.put(world.bench.answer(f"x{name}", tenant=tenant))
            world.source.put(world.bench.said(f"f{name}", f"x{name}", tenant=tenant))
        world.ledger.project(world.source)
        world.look()
    assert sorted(world.brokers.lying(TOPIC) + world.brokers.lying(f"{TOPIC}@own")) == [1, 2, 3, 4]
    assert len(world.brokers.lying(f"{TOPIC}@own")) == 1
    world.brokers.at[TOPIC] = dict(world.brokers.end_offsets(TOPIC))
    for _ in range(3):
        world.look()
    assert world.place() < 4
    world.brokers.at[f"{TOPIC}@own"] = dict(world.brokers.end_offsets(f"{TOPIC}@own"))
    for _ in range(3):
        world.look()
    assert world.place() == 4
    world.brokers.remade = "-again"
    world.look(world.another())
    assert len(world.brokers.lying(f"{TOPIC}@own")) == 3
    # As another generation too: what nobody had read of the ones before went with them.
    world.brokers.divide(2)
    for _ in range(2):
        world.look(world.another())
    assert len(world.brokers.lying(f"{TOPIC}@own.g2")) == 2

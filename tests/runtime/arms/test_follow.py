"""runtime/arms: the registry is the truth about stable, the topic is quicker, and neither being away stops answers."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import encode
from rejoinder.core.errors import LogUnavailable
from rejoinder.policy.versions import ADAPTER_FILE, Versions
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.artefacts import Version as Manifest
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.registry.store import FolderStore
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.arms.follow import ArmsFollower, Registry, table_of
from rejoinder.runtime.logging import EventLog, LineFormatter
from rejoinder.stream.port import Record

from tests.policy.test_versions import FakeAdapters


class FakeTopic:
    """A topic that may be away. owns: its records."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.records: list[Record] = []
        self.away: Exception | None = None

    def put(self, value: bytes, key: bytes = b"assist") -> None:
        self.records.append(Record("arms", 0, len(self.records), key, value, (), self._clock.now()))

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        if self.away is not None:
            raise self.away
        return {0: len(self.records)}

    def read(self, topic: str, partition: int, offset: int) -> Sequence[Record]:
        return self.records[offset:]


class World:
    """A follower with a registry of a base and three adapters. owns: all of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = ManualClock()
        self.topic = FakeTopic(self.clock)
        self.artefacts = Artefacts(FolderStore(tmp_path / "registry"), tmp_path / "artefacts")
        self.artefacts.publish(Manifest("assist", "assist-base", "base", kind="base"))
        self.versions_made = [self._published(tmp_path, f"assist-r000{i}") for i in (1, 2, 3)]
        self.base = Version("assist-base", "base")
        self.pointer = ServedPointer("assist", 1, "assist-base", "base")
        advance(self.artefacts.store, self.pointer)
        self.engine = FakeAdapters()
        self.versions = Versions(self.artefacts, "assist", self.engine, "base", 1)
        self.view = ArmsView(table_of(self.pointer, 0.1), self.clock)
        self.versions.load(self.base)
        self.lines = io.StringIO()
        handler = logging.StreamHandler(self.lines)
        handler.setFormatter(LineFormatter("policy"))
        logger = logging.Logger("test", logging.INFO)
        logger.addHandler(handler)
        self.registry = Registry(self.artefacts, "assist")
        self.follower = ArmsFollower(
            self.view, self.versions, self.registry, self.pointer, self.topic, EventLog(logger), 0.001, 0.001
        )

    def _published(self, tmp_path: Path, name: str) -> Version:
        made = tmp_path / name
        made.mkdir()
        (made / ADAPTER_FILE).write_text(name)
        version = Version(name, self.artefacts.put(made))
        self.artefacts.publish(Manifest("assist", name, version.digest, base_digest="base"))
        return version

    def table(self, generation: int, canary: Version | None = None, **fields: object) -> ArmsTable:
        now = self.clock.now()
        made = ArmsTable(policy="assist", generation=generation, stable=self.base, written_at=now)
        if canary is not None:
            made = replace(made, canary=canary, steps=(Step(1.0, now),), lease=Lease(30.0, now, now + 30.0))
        return replace(made, **fields)

    def tell(self, table: ArmsTable) -> None:
        self.topic.put(encode(table))

    def promote(self, version: Version) -> None:
        last = self.registry.pointer()
        advance(
            self.artefacts.store,
            ServedPointer(
                "assist", last.generation + 1, version.version, version.digest, last.generation, last.version
            ),
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_table_of_the_topic_wins_over_the_pointers_own_whatever_its_generation(world: World) -> None:
    for _ in range(3):
        world.promote(world.base)
    world.follower.read_registry()
    world.follower.read_topic()
    world.tell(world.table(1, world.versions_made[0]))
    world.follower.read_topic()
    assert world.view.table.canary == world.versions_made[0]
    assert world.view.grant().ok
    assert world.view.alarms == 0


def test_history_grants_no_lease_and_loads_only_what_is_in_force(world: World) -> None:
    one, two, three = world.versions_made
    for generation, version in enumerate((one, two, three), 1):
        world.tell(world.table(generation, version))
    world.follower.read_topic()
    assert world.view.grant().why == "no_renewal"
    assert world.versions.loaded == {"base", three.digest}
    world.clock.advance(1)
    world.tell(world.table(3, three))
    world.follower.read_topic()
    assert world.view.grant().ok


def test_a_canary_is_loaded_before_its_table_is_in_force(world: World) -> None:
    """Else its first users would be served stable and marked as forced."""
    seen: list[Version | None] = []
    load = world.engine.load_adapter
    world.engine.load_adapter = lambda name, path: (seen.append(world.view.table.canary), load(name, path))[1]
    world.tell(world.table(1, world.versions_made[0]))
    world.follower.read_topic()
    assert seen == [None]
    assert world.view.table.canary == world.versions_made[0]


def test_a_table_with_two_new_versions_has_both_loaded_whatever_the_bound_on_others(world: World) -> None:
    one, two, three = world.versions_made
    world.versions.named(three.version)
    world.tell(world.table(1, one, baseline=two, baseline_share=0.1))
    world.follower.read_topic()
    assert {one.digest, two.digest} <= world.versions.loaded


def test_a_lower_table_is_an_alarm_and_changes_nothing(world: World) -> None:
    world.tell(world.table(5, world.versions_made[0]))
    world.follower.read_topic()
    world.tell(world.table(4, world.versions_made[1]))
    world.follower.read_topic()
    assert world.view.alarms == 1
    assert world.view.table.generation == 5
    assert world.versions_made[1].digest not in world.versions.loaded


def test_a_record_that_cannot_be_read_hides_none_behind_it(world: World) -> None:
    world.topic.put(b"\xff\xff")
    world.topic.put(encode(world.table(9)), key=b"other")
    world.tell(world.table(1, world.versions_made[0]))
    world.follower.read_topic()
    assert world.view.table.canary == world.versions_made[0]
    assert world.lines.getvalue().count("arms_record_unreadable") == 1
    world.follower.read_topic()
    assert world.lines.getvalue().count("arms_record_unreadable") == 1


def test_stable_is_the_registrys_whatever_a_table_says(world: World) -> None:
    """F11."""
    one, two, _ = world.versions_made
    world.promote(one)
    world.tell(world.table(1, stable=two))
    world.follower.read_topic()
    assert world.view.table.stable == one
    world.promote(two)
    world.tell(world.table(2, stable=two))
    world.follower.read_topic()
    assert world.view.table.stable == two


def test_a_promotion_is_taken_from_the_registry_while_the_topic_is_away_and_the_lease_lives_on(world: World) -> None:
    one = world.versions_made[0]
    world.follower.read_topic()
    world.tell(world.table(7, one))
    world.follower.read_topic()
    world.topic.away = LogUnavailable("away")
    world.promote(one)
    world.follower.read_registry()
    assert world.view.table.stable == one
    assert world.view.table.generation == 7
    assert world.view.grant().ok


def test_the_last_good_version_stays_loaded_however_many_come_after(world: World) -> None:
    """F13: back to it is as quick as any change."""
    one, two, three = world.versions_made
    world.promote(one)
    world.promote(two)
    world.follower.read_registry()
    world.versions.named(three.version)
    world.tell(world.table(1, three))
    world.follower.read_topic()
    world.tell(world.table(2))
    world.follower.read_topic()
    assert {one.digest, two.digest} <= world.versions.loaded


def test_a_promoted_version_that_cannot_be_loaded_is_said_once_and_the_old_one_serves_on(world: World) -> None:
    """F12."""
    one = world.versions_made[0]
    (world.artefacts.path(one.digest) / ADAPTER_FILE).write_text("another")
    world.promote(one)
    for _ in range(3):
        world.follower.read_registry()
    assert world.view.table.stable == world.base
    assert world.lines.getvalue().count("event=version_not_loaded reason=DATA_LOSS") == 1


async def test_whatever_is_away_or_broken_is_said_once_and_following_goes_on(world: World) -> None:
    world.topic.away = LogUnavailable("away")
    stop = asyncio.Event()
    running = asyncio.create_task(world.follower.run(stop))

    async def until(true: Callable[[], bool]) -> None:
        while not true():
            await asyncio.sleep(0.001)

    await until(lambda: "arms_not_read reason=LOG_UNAVAILABLE" in world.lines.getvalue())
    world.topic.away = OSError("disk")
    await until(lambda: "arms_not_read reason=OSError" in world.lines.getvalue())
    world.topic.away = None
    world.tell(world.table(1, world.versions_made[0]))
    await until(lambda: world.view.table.canary is not None)
    stop.set()
    await running
    assert world.lines.getvalue().count("arms_not_read") == 2

"""gateway/adapters: what arms name is brought to the server, and only what lies there as it should counts as served."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from rejoinder.core.arms import Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import NotFound
from rejoinder.gateway.__main__ import _is_path_of
from rejoinder.gateway.adapters import KEPT_S, Adapters
from rejoinder.gateway.arms import Known
from rejoinder.gateway.openai_server import Card
from rejoinder.runtime.logging import EventLog

BASE, ONE, TWO = Version("base", "b"), Version("r1", "c"), Version("r2", "d")


def ours(path: str) -> bool:
    return path.startswith("/artefacts/")


class FakeVllm:
    """owns: its adapters by name, and what it was told. refuses: names that it has no room for, and lets go of none.
    breaks: names over which it breaks off. hangs: names that it loads once `goes_on` is set."""

    def __init__(self) -> None:
        self.adapters: dict[str, str] = {}
        self.told: list[tuple[str, ...]] = []
        self.refuses: set[str] = set()
        self.breaks: set[str] = set()
        self.hangs: set[str] = set()
        self.goes_on = asyncio.Event()

    async def cards(self) -> list[Card]:
        return [Card("llama", "/models/llama"), *(Card(name, path, "llama") for name, path in self.adapters.items())]

    async def load_adapter(self, name: str, path: str) -> str:
        self.told.append(("load", name, path))
        if name in self.breaks:
            raise httpx.ReadTimeout("nothing comes")
        if name in self.hangs:
            await self.goes_on.wait()
        if name in self.refuses:
            return "load answered 500"
        self.adapters.setdefault(name, path)
        return ""

    async def unload_adapter(self, name: str) -> str:
        self.told.append(("unload", name))
        if name in self.breaks:
            raise httpx.ReadTimeout("nothing comes")
        if name in self.refuses:
            return "unload answered 500"
        self.adapters.pop(name, None)
        return ""


class World:
    def __init__(self) -> None:
        self.server, self.clock = FakeVllm(), ManualClock()
        self.known = Known({"base": "llama"})
        self.known.pin([BASE])
        self.lines: list[str] = []
        logger = logging.Logger("adapters", logging.WARNING)
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        logger.addHandler(handler)
        log = EventLog(logger)
        self.adapters = Adapters(self.server, self.known, "base", self.path, ours, self.clock, log)

    def path(self, version: Version) -> str:
        if version.digest == "unknown":
            raise NotFound("the registry does not say")
        return f"/artefacts/{version.digest}"

    async def see(self, *versions: Version) -> set[str]:
        self.known.pin(versions)
        return set((await self.adapters.see()).models)


async def test_what_arms_name_is_loaded_once_and_again_after_the_server_has_lost_it() -> None:
    world = World()
    assert await world.see(BASE) == {"llama"}
    assert world.server.told == [], "the base is nobody's to load"
    for _ in range(2):
        assert await world.see(BASE, ONE) == {"llama", "r1"}
    assert world.server.told == [("load", "r1", "/artefacts/c")]
    world.server.adapters.clear()
    assert await world.see(BASE, ONE) == {"llama", "r1"}
    assert len(world.server.told) == 2


async def test_what_no_arm_names_any_more_stays_a_while_for_the_answers_on_their_way() -> None:
    world = World()
    await world.see(BASE, ONE)
    await world.see(BASE, TWO)
    world.clock.advance(KEPT_S - 1)
    assert await world.see(BASE, TWO) == {"llama", "r1", "r2"}
    world.clock.advance(1)
    assert await world.see(BASE, TWO) == {"llama", "r2"}
    assert world.server.told[-1] == ("unload", "r1")
    world.server.adapters["theirs"] = "/other"
    world.clock.advance(KEPT_S)
    assert "theirs" in await world.see(BASE, TWO), "what others loaded is left alone"


async def test_one_that_is_named_again_in_time_is_kept() -> None:
    world = World()
    await world.see(BASE, ONE)
    await world.see(BASE)
    world.clock.advance(KEPT_S - 1)
    await world.see(BASE, ONE)
    world.clock.advance(KEPT_S)
    assert await world.see(BASE, ONE) == {"llama", "r1"}


async def test_another_adapter_under_the_name_is_not_the_version() -> None:
    """A server started with `--lora-modules r1=/old`: asked for r1 it would answer, from other weights."""
    world = World()
    world.server.adapters["r1"] = "/artefacts/old"
    assert await world.see(BASE, ONE) == {"llama", "r1"}
    assert world.server.told == [("unload", "r1"), ("load", "r1", "/artefacts/c")]
    assert world.server.adapters["r1"] == "/artefacts/c"


async def test_a_name_of_the_bases_own_is_no_adapter() -> None:
    """`--served-model-name llama r1`: the base answers under both."""
    world = World()
    world.known = Known({"base": "r1"})
    adapters = Adapters(world.server, world.known, "base", world.path, ours, world.clock, EventLog(logging.Logger("x")))
    world.known.pin([ONE])

    async def cards() -> list[Card]:
        return [Card("llama"), Card("r1")]

    world.server.cards = cards  # type: ignore[method-assign]
    assert (await adapters.see()).models == {"llama"}
    assert world.server.told == []


@pytest.mark.parametrize("version", [TWO, Version("r3", "unknown")])
async def test_what_cannot_be_loaded_is_not_served_and_said_once(version: Version) -> None:
    world = World()
    world.server.refuses = {"r2"}
    for _ in range(3):
        assert await world.see(BASE, version) == {"llama"}
    assert sum("adapter_not_loaded" in line for line in world.lines) == 1


@pytest.mark.parametrize("why", ["refuses", "breaks"])
async def test_one_that_could_not_be_let_go_is_tried_again_and_said_once(why: str) -> None:
    world = World()
    await world.see(BASE, ONE)
    getattr(world.server, why).add("r1")
    await world.see(BASE)
    world.clock.advance(KEPT_S)
    for _ in range(2):
        assert await world.see(BASE) == {"llama", "r1"}
    assert sum("adapter_not_unloaded" in line for line in world.lines) == 1
    getattr(world.server, why).clear()
    assert await world.see(BASE) == {"llama"}
    told = len(world.server.told)
    await world.see(BASE)
    assert len(world.server.told) == told == 4


async def test_one_that_breaks_off_keeps_no_other_from_being_seen() -> None:
    world = World()
    world.server.breaks = {"r1"}
    for _ in range(2):
        assert await world.see(BASE, ONE, TWO) == {"llama", "r2"}
    assert sum("adapter_not_loaded" in line for line in world.lines) == 1


async def test_one_that_takes_long_keeps_no_other_from_being_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.server.hangs = {"r1"}
    monkeypatch.setattr("rejoinder.gateway.adapters._PATIENT_S", 0.02)
    for _ in range(2):
        async with asyncio.timeout(60):
            assert await world.see(BASE, ONE, TWO) == {"llama", "r2"}
    assert [each for each in world.server.told if each[1] == "r1"] == [("load", "r1", "/artefacts/c")], "told once"
    monkeypatch.undo()
    world.server.goes_on.set()
    assert await world.see(BASE, ONE, TWO) == {"llama", "r1", "r2"}


async def test_adapters_of_ours_are_known_by_their_place_and_bases_by_theirs() -> None:
    """Also what a gateway left behind that is gone."""
    world = World()
    world.server.adapters = {"r0": "/artefacts/a", "theirs": "/other"}
    found = await world.adapters.see()
    assert (found.versions, found.bases) == ({"r0"}, {"llama": "/models/llama"})
    assert found.models == {"llama", "r0", "theirs"}


@pytest.mark.parametrize(
    ("template", "path", "is_one"),
    [
        ("/registry/artefacts/{trained}/adapter", "/registry/artefacts/abc/adapter", True),
        ("/registry/artefacts/{trained}/adapter/", "/registry/artefacts/abc/adapter/", True),
        ("/registry/artefacts/{trained}/adapter", "/registry/artefacts/a/b/adapter", False),
        ("/registry/artefacts/{trained}/adapter", "/other/abc/adapter", False),
        ("/a.b/{version}-{digest}", "/a.b/r1-c", True),
        ("/a.b/{version}-{digest}", "/axb/r1-c", False),
    ],
)
def test_a_place_of_ours_is_one_that_the_setting_can_make(template: str, path: str, is_one: bool) -> None:
    assert _is_path_of(template, path) is is_one

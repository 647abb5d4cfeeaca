from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.core.errors import LogUnavailable, StoreOwned
from rejoinder.runtime.serve import DRAINED, FAILED, REFUSED, run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.settings import ServerSettings, Theme

pytestmark = pytest.mark.system


class Settings(Theme):
    server: ServerSettings = ServerSettings(grace_s=0.5)
    api_token: str = "s3cret"


@pytest.fixture(autouse=True)
def _logging_and_signals_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    root.handlers[:] = before
    root.setLevel(level)
    for each, handler in handlers.items():
        signal.signal(each, handler)


async def told_to_stop(settings: Settings, chassis: Chassis) -> Room:
    async def stop(ending: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await ending.wait()

    return Room(background=(stop,))


async def owned(settings: Settings, chassis: Chassis) -> Room:
    raise StoreOwned("process 1 owns the log")


async def away(settings: Settings, chassis: Chassis) -> Room:
    raise LogUnavailable("the disk is away")


async def broken(settings: Settings, chassis: Chassis) -> Room:
    raise ValueError("words of a user")


async def breaks(settings: Settings, chassis: Chassis) -> Room:
    async def fail(ending: asyncio.Event) -> None:
        raise LogUnavailable("the disk is away")

    return Room(background=(fail,))


async def told_while_loading(settings: Settings, chassis: Chassis) -> Room:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()
    raise AssertionError("never loaded")


@pytest.mark.parametrize(
    ("build", "code", "said"),
    [
        (told_to_stop, DRAINED, "event=drain_ended"),
        (told_while_loading, DRAINED, "event=drain_ended"),
        (owned, REFUSED, "rejoinder reward: process 1 owns the log [STORE_OWNED]"),
        (away, FAILED, "[LOG_UNAVAILABLE]"),
        (broken, FAILED, "event=start_failed stack=ValueError("),
        (breaks, FAILED, "event=background_failed reason=LOG_UNAVAILABLE"),
    ],
)
def test_a_process_ends_with_a_code_and_a_line(
    build: object, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("reward", Settings, build, argv=[], env={}) == code
    text = capsys.readouterr().err
    assert said in text
    assert "Traceback" not in text
    assert "words" not in text


def test_the_settings_in_force_are_told_once_with_secrets_masked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("server: {retry_after_s: 0.9}")
    assert run("reward", Settings, told_to_stop, argv=["--settings", str(file)], env={}) == DRAINED
    text = capsys.readouterr().err
    assert text.count("event=settings_read") == 1
    assert "server.retry_after_s=0.9" in text
    assert "api_token=****" in text
    assert "s3cret" not in text


def test_settings_that_cannot_be_meant_are_a_line_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reward", Settings, told_to_stop, argv=[], env={"REJOINDER_REWARD__SERVER__PRT": "1"}) == REFUSED
    assert capsys.readouterr().err.startswith("rejoinder reward: environment variable REJOINDER_REWARD__SERVER__PRT")


@pytest.mark.parametrize("settled", [0, 700, 20_000])
def test_collections_pass_over_the_start_of_a_settled_process_only_and_are_left_as_they_were(settled: int) -> None:
    """What is frozen is never collected: a process that swaps what it has loaded would keep the old for ever."""
    before = gc.get_threshold()[0]
    seen: list[tuple[bool, int]] = []

    def at_work() -> bool:
        """Whether the process waits for both of its ends: to be told to stop, and to fail."""
        return sum(task.get_coro().__qualname__ == "Event.wait" for task in asyncio.all_tasks()) == 2

    async def build(settings: Settings, chassis: Chassis) -> Room:
        async def look(ending: asyncio.Event) -> None:
            while not at_work():
                await asyncio.sleep(0)
            seen.append((gc.get_freeze_count() > 0, gc.get_threshold()[0]))
            os.kill(os.getpid(), signal.SIGTERM)
            await ending.wait()

        async def flush() -> None:
            seen.append((gc.get_freeze_count() > 0, gc.get_threshold()[0]))

        return Room(background=(look,), flush=flush)

    assert run("reward", Settings, build, argv=[], env={}, settled=settled) == DRAINED
    assert seen == [(settled > 0, settled or before), (False, before)]

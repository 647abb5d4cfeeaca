from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.policy.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One pair of processes for the tests of a file that change nothing lasting."""
    # Text token by token: on the tiny model whole answers come within the usual gap.
    made = World(tmp_path_factory.mktemp("world"), {"ENGINE__TEXT_EVERY_S": "0"})
    try:
        yield made.start()
    finally:
        made.close()

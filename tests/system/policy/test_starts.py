"""A process that cannot serve what it was told to says why and ends; it never serves something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.policy.world import World, asking

pytestmark = pytest.mark.system


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.close()


def refused(world: World) -> str:
    with pytest.raises(RuntimeError) as raised:
        world.start_policy()
    return str(raised.value)


def test_a_base_whose_files_are_not_its_digest_is_not_served(unstarted: World) -> None:
    """F12."""
    unstarted.damage(unstarted.base)
    assert "[DATA_LOSS]" in refused(unstarted)


def test_a_policy_that_was_never_served_is_named(tmp_path: Path) -> None:
    made = World(tmp_path, {"MODEL__POLICY": "other"})
    try:
        assert "'other' has no served version" in refused(made)
    finally:
        made.close()


def test_a_spool_that_cannot_be_made_ends_the_start_and_no_thread_holds_it_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = World(tmp_path, {"RECORD__SPOOL": str(tmp_path / "file" / "spool")})
    try:
        assert "start_failed" in refused(made)
    finally:
        made.close()


def test_it_starts_without_a_log_to_follow_and_without_a_feedback_service(unstarted: World) -> None:
    """Fail open: answers flow from stable, and wait on disk for the log."""
    unstarted.start_policy()
    start, _, _ = unstarted.ask(asking())
    assert start.served.version == unstarted.base.version
    assert unstarted.spooled() > 0

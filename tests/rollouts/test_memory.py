"""rollouts/memory: what was remembered is there, bit for bit, all or nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from rejoinder.core.errors import StoreOwned
from rejoinder.rollouts.memory import Memory


def test_what_was_written_is_read_by_the_next_process_bit_for_bit(tmp_path: Path) -> None:
    value = {"e": math.e, "third": 1 / 3, "tiny": 5e-324, "names": ["a", None, True]}
    first = Memory(tmp_path / "m.db")
    first.write({"state": value}, ["u1", "u2"])
    first.write({}, ["u2", "u3"])
    first.close()
    second = Memory(tmp_path / "m.db")
    assert second.read("state") == value
    assert second.counted == {"u1", "u2", "u3"}
    assert second.read("nothing") is None
    second.close()


def test_a_new_rollout_forgets_whom_the_last_one_counted(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db")
    counted = memory.counted
    memory.write({}, ["u1"])
    assert counted == {"u1"}
    memory.write({"plan": {}}, fresh=True)
    assert counted == set()
    memory.close()


def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db")
    memory.write({"a": 1, "b": 1}, ["u1"])
    with pytest.raises(TypeError):
        memory.write({"a": 2, "b": object()}, ["u2"], fresh=True)
    assert (memory.read("a"), memory.read("b"), memory.counted) == (1, 1, {"u1"})
    memory.close()
    again = Memory(tmp_path / "m.db")
    assert (again.read("a"), again.counted) == (1, {"u1"})
    again.close()


def test_one_file_has_one_owner_until_it_lets_go(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m.db")
    with pytest.raises(StoreOwned):
        Memory(tmp_path / "m.db")
    memory.close()
    Memory(tmp_path / "m.db").close()

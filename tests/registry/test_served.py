"""registry/served: the greatest generation is the truth and a lost race says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.core.errors import ClaimTaken, NotFound
from rejoinder.registry.served import ServedPointer, advance, current
from rejoinder.registry.store import FolderStore

FIRST = ServedPointer("assist", 1, "assist-base", "d0", decided_by="setup")


def test_a_policy_never_served_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        current(FolderStore(tmp_path), "assist")


def test_the_greatest_generation_is_the_truth(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    advance(store, FIRST)
    for generation in range(2, 12):
        advance(
            store, replace(FIRST, generation=generation, replaces=generation - 1, version=f"assist-r{generation:04d}")
        )
    assert current(store, "assist").version == "assist-r0011"


def test_two_writers_on_one_generation_leave_one_winner(tmp_path: Path) -> None:
    """F11: the loser's promotion ends as superseded, it does not overwrite."""
    store = FolderStore(tmp_path)
    advance(store, FIRST)
    second = replace(FIRST, generation=2, replaces=1, version="assist-r0001", reported=("d1", "d1"))
    advance(store, second)
    with pytest.raises(ClaimTaken):
        advance(store, replace(second, version="assist-r0002"))
    assert current(store, "assist") == second


def test_a_pointer_must_name_what_it_replaces(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="right before"):
        advance(FolderStore(tmp_path), replace(FIRST, generation=7, replaces=3))

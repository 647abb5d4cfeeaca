"""rollouts/rolled_back: by name, once, with the reason that decides whether it may be tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rejoinder.registry.store import FolderStore, read_json
from rejoinder.rollout.state import Status
from rejoinder.rollouts.rolled_back import reason_of, record

from tests.rollouts.world import GOOD, NEW

STATUS = Status("s", GOOD, NEW, 1, 0.0, reason="worse:satisfaction", by="ann")


def test_a_record_is_made_once_and_kept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert reason_of(store, "assist", "r42") == ""
    record(store, "assist", STATUS, 5.0)
    record(store, "assist", replace(STATUS, reason="abort"), 6.0)
    said = read_json(store, "rolled_back/assist/r42.json")
    assert said == {"version": "r42", "digest": "d42", "reason": "worse:satisfaction", "by": "ann", "at": 5.0}
    assert reason_of(store, "assist", "r42") == "worse:satisfaction"
    assert reason_of(store, "other", "r42") == ""


@pytest.mark.parametrize(
    ("reason", "again"), [("deadline:unmeasured", True), ("abort", False), ("wrong_digest", False)]
)
def test_only_time_that_ran_out_allows_another_try(tmp_path: Path, reason: str, again: bool) -> None:
    store = FolderStore(tmp_path)
    record(store, "assist", replace(STATUS, reason=reason), 5.0)
    assert (reason_of(store, "assist", "r42") == "") is again

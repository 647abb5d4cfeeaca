"""cli/datafolder: one owner, a key nobody else can read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from rejoinder.cli.datafolder import DataFolder, erasure_key
from rejoinder.core.errors import BadSettings, StoreOwned


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = erasure_key(tmp_path)
    assert erasure_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_damaged_key_is_refused_and_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ab")
    with pytest.raises(BadSettings, match="16 bytes"):
        erasure_key(tmp_path)


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with DataFolder(tmp_path, create=True), pytest.raises(StoreOwned):
        DataFolder(tmp_path)
    DataFolder(tmp_path).close()

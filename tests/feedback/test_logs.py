from __future__ import annotations

from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import StoreOwned
from rejoinder.feedback.logs import open_log
from rejoinder.feedback.settings import LogTheme
from rejoinder.stream.memory import MemoryLog


def test_a_sqlite_log_is_made_with_its_folder_and_has_one_owner(tmp_path: Path) -> None:
    theme = LogTheme(path=tmp_path / "new" / "log.db", partitions=3)
    log = open_log(theme, ManualClock())
    assert log.partitions("feedback") == 3
    with pytest.raises(StoreOwned):
        open_log(theme, ManualClock())
    log.close()
    open_log(theme, ManualClock()).close()


def test_a_log_in_memory_makes_no_file(tmp_path: Path) -> None:
    log = open_log(LogTheme(kind="memory", path=tmp_path / "log.db", partitions=2), ManualClock())
    assert isinstance(log, MemoryLog)
    assert (log.partitions("feedback"), list(tmp_path.iterdir())) == (2, [])

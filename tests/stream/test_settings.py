"""stream/settings: what cannot hold together is refused."""

from __future__ import annotations

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.stream.settings import LogSettings


@pytest.mark.parametrize(
    "wrong",
    [{"partitions": 0}, {"dedupe_s": 1.0}, {"session_timeout_s": 0.0}, {"queue_records": 0}, {"busy_timeout_s": -1.0}],
)
def test_settings_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSettings) as caught:
        LogSettings(**wrong)
    assert caught.value.metadata["field"] in wrong


def test_a_second_copy_is_known_longer_than_the_log_keeps_the_first() -> None:
    assert LogSettings().dedupe_s > LogSettings().retention_s

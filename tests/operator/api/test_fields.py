"""api/fields: texts with a form."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from rejoinder_operator.api.fields import VersionRef, bare, seconds


@pytest.mark.parametrize(("text", "found"), [("30m", 1800.0), ("1h30m", 5400.0), ("72h", 259_200.0), ("45s", 45.0)])
def test_a_duration_is_read_as_cel_reads_it(text: str, found: float) -> None:
    assert seconds(text) == found


def test_a_digest_may_name_its_algorithm() -> None:
    assert bare("sha256:" + "a" * 64) == bare("a" * 64) == "a" * 64


def test_what_is_no_digest_is_refused_and_what_is_not_known_is_left_out() -> None:
    with pytest.raises(ValidationError):
        VersionRef.model_validate({"version": "r1", "digest": "latest"})
    assert VersionRef.model_validate({"version": "r1", "digest": "a" * 64, "newer": 1}).version == "r1"

"""cli/signals: an evaluation file is checked line by line before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.signals import labelled_turns
from rejoinder.core.errors import BadFile

GOOD: dict[str, Any] = {
    "id": "1",
    "messages": [{"role": "assistant", "text": "68 F"}],
    "followup": "no",
    "label": "DSAT",
}


def test_good_records_are_read(tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text(json.dumps(GOOD) + "\n\n" + json.dumps({**GOOD, "label": None, "level": 2.5}) + "\n")
    assert len(labelled_turns(file)) == 2


def test_a_line_ends_at_its_end_alone(tmp_path: Path) -> None:
    """JSON leaves these characters as they are, and pasted text has them."""
    file = tmp_path / "f.jsonl"
    file.write_text(
        json.dumps({**GOOD, "followup": "no\u2028that \x85 is wrong"}, ensure_ascii=False) + "\r\n", "utf-8"
    )
    assert len(labelled_turns(file)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages must be"),
        ({"messages": [{"role": "assistant"}]}, "role and text"),
        ({"followup": None}, "followup must be"),
        ({"label": "GOOD"}, "label must be"),
        ({"level": 9}, "level must be"),
        ({"level": True}, "level must be"),
    ],
)
def test_a_bad_record_is_named_with_its_line(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **change}) + "\n")
    with pytest.raises(BadFile, match=f"line 2.*{words}"):
        labelled_turns(file)


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "no turn"), (b"{", "no JSON"), (b"\xff", "cannot read"), (b"[]", "no object")]
)
def test_a_file_that_is_none_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_bytes(data)
    with pytest.raises(BadFile, match=words):
        labelled_turns(file)

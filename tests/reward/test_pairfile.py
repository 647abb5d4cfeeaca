"""reward/pairfile: a file is read whole or refused with the line at fault, without a word of what stood there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.reward.pairfile import read


def record(**changes: Any) -> dict[str, Any]:
    asked = [{"role": "user", "text": "How do I boil an egg?"}]
    return {"id": "1", "group": "g", "messages": asked, "a": "secret a", "b": "secret b", "pref": 1, **changes}


def test_files_are_read_plain_or_gzipped(tmp_path: Path) -> None:
    text = json.dumps(record()) + "\n\n" + json.dumps(record(pref=0.5)) + "\n"
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    assert read(tmp_path / "a.jsonl") == read(tmp_path / "a.jsonl.gz") == [record(), record(pref=0.5)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("3", "no JSON object"),
        (json.dumps({"a": "x"}), "lacks group, messages, b, pref"),
        (json.dumps(record(pref=2)), "pref"),
        (json.dumps(record(pref="1")), "pref"),
        (json.dumps(record(pref=True)), "pref"),
        (json.dumps(record(a=3)), "texts"),
        (json.dumps(record(b="\ud800")), "texts"),
        (json.dumps(record(messages={})), "messages"),
        (json.dumps(record(messages=[])), "messages"),
        (json.dumps(record(messages=["secret"])), "messages"),
        (json.dumps(record(messages=[{"role": "narrator", "text": "secret"}])), "messages"),
        (json.dumps(record(messages=[{"role": 0.5, "text": "x"}])), "messages"),
        (json.dumps(record(messages=[{"role": "user"}])), "messages"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(record()) + "\n" + line + "\n")
    with pytest.raises(BadFile, match=words) as error:
        read(tmp_path / "a.jsonl")
    assert error.value.metadata["line"] == "2"
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"id": "\xff"}\n'),
        ("a.jsonl.gz", gzip.compress(b"x" * 1000, mtime=0)[:20]),
        ("a.jsonl.gz", b"no gzip"),
        ("a.jsonl.gz", gzip.compress(b"{}", mtime=0)[:12] + b"\xff" * 20),
    ],
)
def test_a_damaged_file_is_a_friendly_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile):
        read(tmp_path / name)


def test_a_missing_file_and_a_folder_are_friendly_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(BadFile, match="cannot be read"):
            read(path)

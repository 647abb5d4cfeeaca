"""observe/reader: good lines are read, bad lines are counted by cause, a wrong file is one friendly error."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.observe import reader
from rejoinder.observe.reader import Reading, conversations

GOOD = {"id": "1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}

#: Hostile or malformed files and the words of the refusal: at most three of a kind.
HOSTILE = {
    "empty file": (b"", "holds no conversation"),
    "only blank lines": (b"\n\n  \n", "holds no conversation"),
    "not JSON": (b"hello there\n", "no JSON object"),
    "a JSON number": (b"42\n", "no JSON object"),
    "an unknown shape": (b'{"rows": []}\n', "no known format"),
    "binary": (bytes(range(256)), "no JSON object"),
    "truncated gzip": (gzip.compress(json.dumps(GOOD).encode() * 50)[:40], "damaged"),
    "gzip magic and rubbish": (b"\x1f\x8b" + b"x" * 30, "damaged"),
    "deep nesting": (b'{"conversations":' + b"[" * 100_000 + b"\n", "no JSON object"),
    "truncated array": (b"[" + json.dumps(GOOD).encode(), "no valid JSON"),
    "array of numbers": (b"[1, 2, 3]", "no JSON object"),
    "conversation of no turns": (b'{"conversations": []}\n', "is empty"),
    "unknown speaker": (b'{"conversations": [{"from": "narrator", "value": "x"}]}\n', "role is unknown"),
    "turn that is a number": (b'{"conversations": [7]}\n', "turn is no object"),
    "wrong UTF-8": (b'{"conversations": [{"from": "human", "value": "\xff\xfe"}]}\n', "no JSON object"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_friendly_error(name: str, tmp_path: Path) -> None:
    data, words = HOSTILE[name]
    path = tmp_path / "log.jsonl"
    path.write_bytes(data)
    with pytest.raises(BadFile, match=words):
        list(conversations(path, Reading(path)))


@pytest.mark.parametrize("cut", [1, 8, 2000])
def test_of_a_file_that_breaks_off_nothing_is_taken(cut: int, tmp_path: Path) -> None:
    """Whoever takes conversations as they come must not have half a file when the end turns out to be missing."""
    lines = [json.dumps({**GOOD, "id": str(number)}) for number in range(20_000)]
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:-cut])
    taken = []
    with pytest.raises(BadFile, match="damaged"):
        taken.extend(conversations(path, Reading(path)))
    assert taken == []


def test_damage_in_the_middle_of_an_archive_is_a_friendly_error(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(json.dumps(GOOD).encode() * 200))
    packed[30:60] = b"\xff" * 30
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(packed)
    with pytest.raises(BadFile, match="damaged"):
        list(conversations(path, Reading(path)))


def test_of_a_file_whose_last_line_is_too_long_nothing_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 200)
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + "x" * 201, encoding="utf-8")
    taken = []
    with pytest.raises(BadFile, match="line 2 is longer than 200 bytes"):
        taken.extend(conversations(path, Reading(path)))
    assert taken == []


def test_a_missing_file_and_a_folder_are_friendly_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(BadFile, match="cannot open"):
            list(conversations(path, Reading(path)))


def test_bad_lines_are_counted_by_cause_and_good_ones_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [json.dumps(GOOD), "rubbish", json.dumps({"conversations": []}), json.dumps({**GOOD, "id": "2"})]
    path.write_text("\n".join(lines), encoding="utf-8")
    reading = Reading(path)
    assert [c.id for c in conversations(path, reading)] == ["1", "2"]
    assert reading.refused == {"no JSON object": 1, "conversations is empty": 1}
    assert reading.first_refused["conversations is empty"] == 3


@pytest.mark.parametrize("packed", [False, True])
def test_plain_gzip_and_array_files_read_the_same(packed: bool, tmp_path: Path) -> None:
    for name, text in (("lines", json.dumps(GOOD) + "\n"), ("array", json.dumps([GOOD]))):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        assert [c.id for c in conversations(path, Reading(path))] == ["1"]


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(GOOD) + "\n",))
    writer.start()
    assert [c.id for c in conversations(path, Reading(path))] == ["1"]
    writer.join()


def test_a_refusal_never_quotes_what_people_wrote(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"conversations": [{"from": "my secret", "value": "my secret"}]}), encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        list(conversations(path, Reading(path)))
    assert "secret" not in str(caught.value)

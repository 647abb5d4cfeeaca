"""evaluate/judged: either kind of file, and what is wrong with one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.types import Message, Role
from rejoinder.evaluate.judged import JudgedPair, read, train_lines

PROMPT = (Message(Role.USER, "Rice?"),)


def judged(name: str, pref: float) -> dict[str, Any]:
    messages = [{"role": "user", "text": "Rice?"}]
    return {"id": name, "group": "u", "messages": messages, "a": "A", "b": "B", "pref": pref}


def lines(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_a_and_b_are_put_in_the_order_that_was_preferred(tmp_path: Path, name: str) -> None:
    found = read(lines(tmp_path / name, [judged("1", 1), judged("2", 0.2), judged("3", 0.5)]))
    assert [(p.chosen, p.rejected, p.tie) for p in found] == [("A", "B", False), ("B", "A", False), ("A", "B", True)]
    assert found[0] == JudgedPair("1", "u", PROMPT, "A", "B")


def test_a_train_stages_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    pairs = [JudgedPair("1", "u", PROMPT, "A", "B"), JudgedPair("2", "v", PROMPT, "A\u2028", "")]
    file = tmp_path / "t.jsonl"
    file.write_text(train_lines(pairs), "utf-8")
    assert read(file) == pairs


def test_answers_judged_alone_and_pairs_of_two_prompts_are_left_out(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "Rice?"}]
    row = {"prompt": prompt, "chosen": "A", "rejected": "B"}
    alone = {"id": "2", "prompt": prompt, "chosen": "A"}
    rows = [row | {"id": "1"}, alone, row | {"id": "3", "rejected_prompt": prompt}]
    assert [p.id for p in read(lines(tmp_path / "t.jsonl", rows))] == ["1"]
    with pytest.raises(BadFile, match="holds no pair"):
        read(lines(tmp_path / "n.jsonl", [alone]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no pair"),
        (b"{", "line 1 is no JSON"),
        (b"[]", "is no JSON object"),
        (b"\xff\xfe", "cannot be read"),
        (json.dumps(judged("1", 1)).encode() + b"\n" + json.dumps(judged("1", 0)).encode(), "an id stands twice"),
        (json.dumps({"messages": []}).encode(), "lacks group"),
        (
            json.dumps({"id": "1", "prompt": [{"role": "x", "content": ""}], "chosen": "", "rejected": ""}).encode(),
            "a role",
        ),
    ],
)
def test_a_bad_file_is_one_error_that_says_where(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    with pytest.raises(BadFile, match=words):
        read(file)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        read(tmp_path / "none.jsonl")

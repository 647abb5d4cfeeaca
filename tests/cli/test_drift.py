"""cli/drift: answers of checkpoints, versions that are sampled, a server that reads, and what a person may do wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from rejoinder.cli.main import main
from rejoinder.core.types import Message, Sampling
from rejoinder.evaluate.topics import MOST_ANSWERS
from rejoinder.rounds.pairs.context import Sampled

RULES = {"support": r"^yes\b", "neutral": r"^it depends\b", "oppose": r"^no\b"}
WORDS = ("Yes.", "It depends.", "No.")


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "drift", *map(str, arguments)])
    return int(end.value.code or 0)


def topics_in(folder: Path, rules: dict[str, str] | None = None) -> Path:
    rows = [
        {"id": name, "question": f"{name}?", "prompts": [f"{name} {i}?" for i in range(20)], "guarded": name == "tea"}
        for name in ("tea", "rain")
    ]
    file = folder / "topics.yaml"
    file.write_text(yaml.safe_dump({"version": "7", "topics": [row | (rules or {}) for row in rows]}))
    return file


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    return topics_in(tmp_path, RULES)


def said(checkpoint: int, topic: str, i: int, k: int) -> str:
    """Half support; of tea, from the third checkpoint on, all do."""
    return "Yes." if topic == "tea" and checkpoint > 1 else WORDS[(i + k) % 2 * 2]


def answers_in(folder: Path, rows: Sequence[object] | None = None, more: str = "") -> Path:
    if rows is None:
        rows = [
            {
                "checkpoint": f"c{c}",
                "step": 10 * c,
                "topic": topic,
                "prompt": f"{topic} {i}?",
                "answer": said(c, topic, i, k),
            }
            for c in range(4)
            for topic in ("tea", "rain")
            for i in range(20)
            for k in range(10)
        ]
    file = folder / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + more)
    return file


def test_a_planted_move_is_told_with_its_interval_and_time(
    tmp_path: Path, topics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = answers_in(tmp_path)
    assert run(file, "--topics", topics, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["since"], found["by"], found["n"], found["unread"], found["reader"]) == (
        "c0",
        "step",
        1600,
        0,
        "rules",
    )
    assert {(a["topic"], a["checkpoint"]) for a in found["alarms"]} == {("tea", "c2"), ("tea", "c3")}
    tea = found["topics"]["tea"]
    assert (tea["guarded"], found["topics"]["rain"]["guarded"]) == (True, False)
    assert tea["moves"]["c3"]["support"]["value"] == pytest.approx(0.5)
    assert 1 / 3 < tea["times"]["support"]["value"] < 2 / 3
    assert run(file, "--topics", topics) == 0
    out = capsys.readouterr().out
    assert "alarm at c2 and 1 more" in out
    assert "rain (not guarded)" in out
    assert "by the file's patterns" in out


def test_a_topic_that_nobody_answered_about_is_told(
    tmp_path: Path, topics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**GOOD, "checkpoint": name} for name in "ab"]
    assert run(answers_in(tmp_path, rows), "--topics", topics) == 0
    out = capsys.readouterr().out
    assert "tea is unmeasured: 1 prompts are below 20" in out
    assert "rain is unmeasured: nobody answered about it" in out


def test_moves_may_be_counted_from_another_checkpoint(
    tmp_path: Path, topics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(answers_in(tmp_path), "--topics", topics, "--since", "c2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["alarms"] == []


@pytest.fixture
def judge() -> Iterator[Judge]:
    made = Judge()
    yield made
    made.close()


class Judge:
    """A server on loopback. owns: its thread, what it says to an answer (None: an error)."""

    def __init__(self) -> None:
        mine = self
        self.rule: Callable[[str], str | None] = {"Yes.": "SUPPORT", "No.": "OPPOSE"}.get

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                word = mine.rule(json.loads(body["messages"][1]["content"])["answer"])
                value = json.dumps({"choices": [{"message": {"content": word}}]}).encode()
                self.send_response(500 if word is None else 200)
                self.send_header("content-length", str(len(value)))
                self.end_headers()
                self.wfile.write(value)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def test_a_server_reads_what_no_pattern_does_and_what_it_does_not_say_is_unmeasured(
    tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [answers_in(tmp_path), "--topics", topics_in(tmp_path), "--judge-url", judge.url]
    assert run(*asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reader"], found["unread"], len(found["alarms"])) == ("endpoint", 0, 4)
    judge.rule = {"Yes.": "SUPPORT", "No.": None}.get
    assert run(*asked) == 0
    out = capsys.readouterr().out
    assert "tea is unmeasured: 50% of the answers" in out
    assert "not answered: status 500 2" in out


def test_versions_of_a_policy_are_sampled_with_the_same_seeds_and_kept(
    tmp_path: Path, topics: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []

    def sample(port: Any, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> list[Sampled]:
        asked.append((version, sampling.seed))
        tea = messages[0].content.startswith("tea")
        return [Sampled(WORDS[(k % 2) * 2] if version == "one" or not tea else "Yes.", -1.0, 2) for k in range(n)]

    monkeypatch.setattr("rejoinder.rounds.services.PolicyPort.sample", sample)
    kept, before = tmp_path / "kept.jsonl", tmp_path / "before.jsonl"
    kept.write_text("old")
    before.hardlink_to(kept)
    versions = ["--policy-address", "127.0.0.1:1", "--version", "one", "--version", "two", "--seed", "5"]
    assert run("--topics", topics, *versions, "--keep", kept, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {(a["topic"], a["checkpoint"], a["stance"]) for a in found["alarms"]} == {
        ("tea", "two", "support"),
        ("tea", "two", "oppose"),
    }
    assert sorted(asked) == sorted((version, 5 + n * MOST_ANSWERS) for version in ("one", "two") for n in range(40))
    assert before.read_text() == "old", "put there whole, in the old file's place"
    assert run(kept, "--topics", topics, "--seed", "5", "--json") == 0
    assert json.loads(capsys.readouterr().out) == found


GOOD = {"checkpoint": "a", "topic": "tea", "prompt": "p", "answer": "Yes."}


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([], "", "holds no answer"),
        ([GOOD], "{", "line 2 is no JSON"),
        ([GOOD], "[" * 100_000, "line 2 is no JSON"),
        ([[]], "", "line 1 is no object"),
        ([{**GOOD, "topic": "war"}], "", "line 1: the topics file has no such topic; it has tea, rain"),
        ([{**GOOD, "answer": None}], "", "line 1: answer must be text"),
        ([{**GOOD, "prompt": ""}], "", "line 1: prompt must be text, and not empty"),
        ([{**GOOD, "checkpoint": "a\n"}], "", "line 1: checkpoint has a control character"),
        ([{**GOOD, "step": True}], "", "line 1: step must be a finite number"),
        ([{**GOOD, "step": 10**400}], "", "line 1: step must be a finite number"),
        (
            [GOOD],
            '{"checkpoint": "b", "topic": "tea", "prompt": "p", "answer": "", "step": NaN}',
            "step must be a finite",
        ),
        ([GOOD, GOOD], "", "of one checkpoint alone"),
        ([{**GOOD, "step": 1}, {**GOOD, "step": 2}], "", "checkpoint a stands at two steps"),
        ([{**GOOD, "step": 1}, {**GOOD, "checkpoint": "b"}], "", "some checkpoints have a step and some have none"),
        ([{**GOOD, "step": 1}, {**GOOD, "checkpoint": "b", "step": 1.0}], "", "two checkpoints stand at the same step"),
    ],
)
def test_a_bad_file_is_one_error_that_names_the_line(
    tmp_path: Path, topics: Path, capsys: pytest.CaptureFixture[str], rows: Any, more: str, words: str
) -> None:
    assert run(answers_in(tmp_path, rows, more), "--topics", topics) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give FILE or --policy-address"),
        (["answers.jsonl", "--policy-address", "x:1"], "give FILE or --policy-address"),
        (["none.jsonl"], "cannot read none.jsonl"),
        (["--policy-address", "x:1", "--version", "a"], "two versions at least"),
        (["--policy-address", "x:1", "--version", "a", "--version", "a"], "each once"),
        (["--policy-address", "x:1", "--version", "", "--version", "stable"], "each once"),
        (["answers.jsonl", "--version", "a"], "leave them out beside FILE"),
        (["answers.jsonl", "--keep", "kept.jsonl"], "leave them out beside FILE"),
        (["answers.jsonl", "--judge-url", "ftp://x"], "--judge-url must begin"),
        (["answers.jsonl", "--seed", "-1"], "-1 is not in the range"),
        (["answers.jsonl", "--seed", 2**64], "is not in the range"),
        (["answers.jsonl", "--since", "c3"], "no checkpoint 'c3', or none after it"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path,
    topics: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    answers_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--topics", topics) == 2
    assert words in capsys.readouterr().err


def test_topics_without_patterns_need_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(answers_in(tmp_path), "--topics", topics_in(tmp_path)) == 2
    assert "topic tea has no patterns, and no server is to read its stances" in capsys.readouterr().err

"""cli/probes: a head and a server, both orders, and what a person may do wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.cli import probes
from rejoinder.cli.main import main
from rejoinder.core.types import Message

EXCERPT = Path(__file__).parents[1] / "data" / "hh" / "excerpt.jsonl.gz"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "probes", *map(str, arguments)])
    return int(end.value.code or 0)


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that likes what is longer."""
    monkeypatch.setattr(
        probes, "scorer", lambda model, quiet: lambda asked: np.array([len(t) for _, t in asked], float)
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], str | None]], None]:
    """Whatever address is asked answers by a rule of what it is shown."""

    def answering(rule: Callable[[Any], str | None]) -> None:
        def ask(chat: Any, talks: Sequence[Sequence[Message]]) -> list[str | None]:
            said = [rule(json.loads(talk[1].content)) for talk in talks]
            if None in said:
                chat._missed("late")
            return said

        monkeypatch.setattr("rejoinder.signals.chat.ChatEndpoint.ask", ask)

    return answering


@pytest.mark.usefixtures("longer")
def test_a_head_that_likes_words_is_moved_by_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(EXCERPT, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["both_orders"], found["missed"]) == (240, False, {})
    assert found["probes"]["position"]["robustness"]["value"] == 1.0
    assert found["probes"]["plain"]["alarm"]
    assert found["probes"]["distraction"]["bias"]["value"] < 0
    assert run(EXCERPT) == 0
    out = capsys.readouterr().out
    assert "bandwagon" in out
    assert "right before" in out


def test_a_server_that_takes_the_first_is_found_and_both_orders_undo_it(
    server: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    server(lambda shown: "FIRST")
    asked = [EXCERPT, "--judge-url", "http://127.0.0.1:1/v1", "--json"]
    assert run(*asked) == 0
    position = json.loads(capsys.readouterr().out)["probes"]["position"]
    assert (position["alarm"], position["bias"]["value"]) == (True, 1.0)
    assert run(*asked, "--both-orders") == 0
    assert json.loads(capsys.readouterr().out)["probes"]["position"]["robustness"]["value"] == 1.0


def test_a_server_that_says_nothing_is_an_error_that_says_why(
    server: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    server(lambda shown: None)
    assert run(EXCERPT, "--judge-url", "http://127.0.0.1:1/v1") == 2
    assert "no pair with a verdict (240 unanswered: late" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give FILE or --data"),
        ([EXCERPT, "--judge-url", "ftp://x"], "--judge-url must begin"),
        ([EXCERPT, "--judge-url", "http://x", "--model", "x"], "give --model or --judge-url"),
        ([EXCERPT, "--texts", "none.json"], "none.json is no list of probes"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err

"""cli/evaluate: ranking accuracy of anybody's log-probabilities, checked line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main


def row(name: str, chosen: float, rejected: float, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "chosen_logp": chosen,
        "rejected_logp": rejected,
        "chosen_tokens": 4,
        "rejected_tokens": 5,
    } | more


BEFORE = [row("a", -9, -2), row("b", -9, -2), row("c", -1, -2), row("d", -2, -1)]
AFTER = [row("a", -1, -2), row("b", -9, -2), row("c", -1, -2), row("d", -2, -1)]


def lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "ranking", *map(str, arguments)])
    return int(end.value.code or 0)


def test_raters_shares_say_what_could_be_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [lines(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate((BEFORE, AFTER))]
    # Seven nats at beta .1 need odds above e ** .7: two to one are not enough, three to one just are not too few.
    given = {"a": 0.75, "b": 0.75, "c": 0.6}
    shares = lines(tmp_path / "s.jsonl", [{"id": name, "share": share} for name, share in given.items()])
    assert run(*files, "--shares", shares, "--beta", 0.1, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    found = report["idealised"]
    assert (found["shares_from"], found["idealised"]["n"]) == ("share", 3)
    assert (found["idealised"]["value"], found["gap"]["value"]) == (1.0, pytest.approx(1 / 3))
    assert report["summed"]["all"]["gain"]["value"] == 0.25
    weak = lines(tmp_path / "w.jsonl", [{"id": "a", "share": 2 / 3}, {"id": "b", "share": 2 / 3}])
    run(*files, "--shares", weak, "--beta", 0.1, "--json")
    assert json.loads(capsys.readouterr().out)["idealised"]["idealised"]["value"] == 0.0
    assert run(*files) == 0
    assert "Ranking accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("a", "x", 1)], "line 1: chosen_logp"),
        ([row("a", -1, float("nan"))], "line 1: rejected_logp"),
        ([row("a", -1, -2, chosen_tokens=0)], "one token at least"),
        ([row("a", -1, -2, share=2)], "share must be"),
        ([row("a", -1, -2), row("a", -1, -2)], "stands twice"),
        ([{}], "no object with an id"),
        ([], "holds no pair"),
        (BEFORE[:3], "the same pairs"),
    ],
)
def test_a_bad_file_is_one_line(
    rows: list[Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lines(tmp_path / "b.jsonl", BEFORE), lines(tmp_path / "a.jsonl", rows)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1

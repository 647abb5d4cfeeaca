"""cli/factors: people, a policy's rows and a head on one file, and what a person may do wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rejoinder.cli import factors
from rejoinder.cli.main import main
from rejoinder.evaluate.judged import read

EXCERPT = Path(__file__).parents[1] / "data" / "hh" / "excerpt.jsonl.gz"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "factors", *map(str, arguments)])
    return int(end.value.code or 0)


def likelihoods(path: Path) -> Path:
    """Of a policy that gives every word a nat less."""
    rows = [
        {"id": pair.id}
        | {f"{side}_logp": -len(getattr(pair, side).split()) - 1.0 for side in ("chosen", "rejected")}
        | {f"{side}_tokens": 1 for side in ("chosen", "rejected")}
        for pair in read(EXCERPT)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_policy_that_likes_it_short_is_found_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = likelihoods(tmp_path / "rows.jsonl")
    assert run(EXCERPT, "--no-head", "--likelihood", rows, "--summed", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["left_out"]) == (240, 0)
    assert found["scores"]["policy"]["length"]["high"] < -0.6
    (gap,) = found["gaps"]
    assert (gap["of"], gap["less"]) == ("people", "policy")
    assert "length" in gap["alarms"]
    assert run(EXCERPT, "--no-head", "--likelihood", rows) == 0
    assert "people less policy" in capsys.readouterr().out


def test_a_head_chooses_on_the_same_pairs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        factors, "scorer", lambda model, quiet: lambda asked: np.array([len(t) for _, t in asked], float)
    )
    assert run(EXCERPT, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["scores"]) == ["people", "head"]
    assert found["scores"]["head"]["length"]["low"] > 0.6


def test_a_policy_is_asked_by_the_training_rooms_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def stage(arguments: list[str]) -> dict[str, Any]:
        asked.extend(arguments)
        likelihoods(Path(arguments[arguments.index("--out") + 1]))
        assert len(read(Path(arguments[arguments.index("--pairs") + 1]))) == 240
        return {}

    monkeypatch.setattr("rejoinder.rounds.stages.command", stage)
    assert run(EXCERPT, "--no-head", "--base", tmp_path, "--adapter", tmp_path, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["scores"]) == ["people", "policy"]
    assert asked[2:4] == ["rejoinder.training", "likelihood"]
    assert asked[asked.index("--adapter") + 1] == str(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give FILE or --data"),
        ([EXCERPT, "--data", "x"], "give FILE or --data"),
        (["none.jsonl", "--no-head"], "cannot be read"),
        ([EXCERPT, "--adapter", "."], "--adapter needs --base"),
        ([EXCERPT, "--no-head", "--likelihood", "none.jsonl"], "cannot read none.jsonl"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_likelihoods_of_other_pairs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = {f"{side}_{what}": 1 for side in ("chosen", "rejected") for what in ("logp", "tokens")}
    other = tmp_path / "o.jsonl"
    other.write_text(json.dumps({"id": "another"} | sides))
    assert run(EXCERPT, "--no-head", "--likelihood", other) == 2
    assert "holds none of the pairs' ids" in capsys.readouterr().err

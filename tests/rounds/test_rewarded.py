"""rounds/rewarded: of whose pairs, below which minimum, and what is said where an erasure came between."""

from __future__ import annotations

import json
from pathlib import Path

from rejoinder.rounds.recipe import Chosen, Gate
from rejoinder.rounds.rewarded import least_of, rewarded

from tests.evaluate.test_rewards import BOLD, BRIEF, answers, pairs

GATE = Gate(measures=(Chosen("kl"), Chosen("win_rate", {"min_n": 60})))


def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, chosen, rejected in (("train", BOLD, BRIEF), ("gate", BRIEF, BOLD)):
        found[name] = tmp_path / f"{name}.jsonl"
        # A line ends at its end alone, whatever stands in an answer.
        rows = pairs(name, f"{chosen}\u2028", rejected)
        found[name].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return found


def test_each_head_is_of_its_own_sides_pairs_and_the_same_for_the_same_round(tmp_path: Path) -> None:
    found = rewarded(files(tmp_path), answers(BRIEF, BOLD), GATE, "assist-r0001", 3)
    assert (found["stable"], found["train"]["value"], found["gate"]["value"]) == ("assist-r0001", 1.0, 0.0)
    assert found == rewarded(files(tmp_path), answers(BRIEF, BOLD), GATE, "assist-r0001", 3)
    json.dumps(found, allow_nan=False)


def test_the_minimum_is_that_of_the_recipes_win_rate_or_its_default() -> None:
    assert (least_of(GATE), least_of(Gate())) == (60, 200)


def test_where_nobody_answered_nothing_is_said_and_of_an_erased_file_that_it_held_none(tmp_path: Path) -> None:
    given = files(tmp_path)
    assert rewarded(given, [], GATE, "", 0) == {}
    given["train"].unlink()
    found = rewarded(given, answers(BRIEF, BOLD), GATE, "", 0)
    assert (found["train"]["why"], found["gate"]["value"]) == ("0 pairs are below 60", 0.0)

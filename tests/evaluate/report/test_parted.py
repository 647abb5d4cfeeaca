"""evaluate/report/parted: over-optimisation is found where it was planted, and nowhere by a point alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from rejoinder.evaluate.report import page
from rejoinder.evaluate.report.parted import parted

from tests.evaluate.report import reports
from tests.evaluate.report.test_page import parsed, table, values, words

UP, DOWN, FLAT = reports.figure(0.62), reports.figure(0.38), reports.figure(0.48)


def told(
    train: dict[str, Any], gate: dict[str, Any] | None, judge: dict[str, Any] | None = None, share: float = 0.52
) -> dict[str, Any]:
    """A report whose second round says this. judge: None where no second head is loaded; share: of satisfied users, of
    its version; of stable's it is 52 %."""
    given = copy.deepcopy(reports.report())
    row = given["rounds"][1]
    nothing = {"value": None, "low": None, "high": None, "why": "12 pairs are below 200"}
    counts = {"n": 240, "groups": 200, "pairs": 300, "users": 90, "why": ""}
    row["rewards"] = {"stable": "assist-r0001", "train": counts | train, "gate": counts | (gate or nothing)}
    for each in given["rounds"]:
        each["measures"] = [m for m in each["measures"] if m["name"] != "win_rate"]
    row["measures"] += [reports.measure("win_rate", "pass", veto=False, why="") | judge] if judge else []
    given["satisfaction"]["versions"].append(reports.version("assist-r0002", share))
    return given


@pytest.mark.parametrize(
    ("given", "against"),
    [
        (told(UP, DOWN), ["gate users' head"]),
        (told(UP, None, DOWN), ["gate's judge"]),
        (told(UP, FLAT, None, 0.40), ["users"]),
        (told(UP, DOWN, DOWN, 0.40), ["gate users' head", "gate's judge", "users"]),
    ],
)
def test_a_training_reward_above_and_any_of_the_others_below_have_parted(
    given: dict[str, Any], against: list[str]
) -> None:
    assert parted(given)["rounds"] == [{"number": 2, "version": "assist-r0002", "against": against}]
    said = words(parsed(page(given)))
    assert "Round 2 has parted : the training users' head likes its answers better" in said
    assert all(f"the {name}" in said for name in against)


@pytest.mark.parametrize(
    "given",
    [told(FLAT, FLAT), told(UP, FLAT, FLAT, 0.48), told(FLAT, DOWN, DOWN, 0.3), told(UP, UP), told(DOWN, DOWN)],
)
def test_flat_figures_points_within_their_intervals_and_common_moves_are_no_parting(given: dict[str, Any]) -> None:
    """The control."""
    assert parted(given) == {"measured": [2], "rounds": []}
    assert "Nothing has parted beyond its intervals in round 2." in words(parsed(page(given)))


def test_the_untrained_policy_is_known_by_the_name_under_which_it_is_served() -> None:
    given = told(UP, None)
    given["rounds"][1]["rewards"]["stable"] = ""
    given["satisfaction"]["versions"][0]["whole"] |= {"low": 0.6, "high": 0.7}
    assert given["base"] == "base"
    assert parted(given)["rounds"][0]["against"] == ["users"]
    given["base"] = ""
    assert parted(given) == {"measured": [], "rounds": []}, "nobody is left to compare with"


def test_the_third_curve_and_its_table_are_what_the_round_measured() -> None:
    given = told(UP, DOWN)
    root = parsed(page(given))
    row = table(root, "Reward and satisfaction by round")[1]
    assert [v for cell in (row[2], row[4]) for v in values(cell)] == [
        figure[end] for figure in (UP, DOWN) for end in ("value", "low", "high")
    ]
    drawn = "".join(root.itertext())
    assert "round 2 (assist-r0002): 0.62" in drawn


def test_a_round_that_scored_nothing_says_why() -> None:
    given = told({"value": None, "low": None, "high": None, "why": "80 pairs are below 200"}, None)
    assert parted(given) == {"measured": [], "rounds": []}
    said = words(parsed(page(given)))
    assert "training head's reward  unmeasured: 80 pairs are below 200." in said
    assert "unmeasured: 12 pairs are below 200; judge: the recipe's gate has no measure win_rate." in said
    assert "no round's gate sampled answers for it" in words(parsed(page(reports.report()))), "an older round's"

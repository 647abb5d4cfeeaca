"""evaluate/guided: shares of what can be measured, and rates over it alone."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.guided import Guided, met, shares

LIST, PROSE = "- one\n- two", "It is all one sentence."


def rows(count: int, before: str, after: str) -> list[Guided]:
    return [Guided(f"user-{i}", ("bullets",), before, after) for i in range(count)]


def test_the_shares_are_of_dissatisfied_turns_and_add_up() -> None:
    said = ["bullets, not a paragraph", "shorter, and in Celsius", "you sound like a robot", "hm"]
    assert shares(said) == {"said": 4, "checkable": 0.5, "judged": 0.0, "unmeasured": 0.5}
    assert shares([]) == {"said": 0, "checkable": 0.0, "judged": 0.0, "unmeasured": 0.0}


def test_a_version_that_meets_the_wishes_unasked_gains_and_one_that_forgets_them_loses() -> None:
    found = met(rows(20, PROSE, LIST), np.random.default_rng(0))
    assert (found["before"]["value"], found["after"]["value"], found["gain"]["low"]) == (0.0, 1.0, 1.0)
    assert (found["n"], found["users"]) == (20, 20)
    assert met(rows(20, LIST, PROSE), np.random.default_rng(0))["gain"]["high"] == -1.0


def test_the_interval_is_by_user() -> None:
    """One user's many turns are one opinion: forty of two users tell less than forty of forty."""
    many = rows(20, PROSE, LIST) + [Guided(f"other-{i}", ("bullets",), PROSE, PROSE) for i in range(20)]
    few = [Guided(row.group.split("-")[0], row.wishes, row.before, row.after) for row in many]
    apart, together = (met(found, np.random.default_rng(0))["after"] for found in (many, few))
    assert apart["value"] == together["value"] == 0.5
    assert together["high"] - together["low"] == pytest.approx(1.0)
    assert apart["high"] - apart["low"] < 0.4
    assert met(few, np.random.default_rng(0))["users"] == 2


def test_an_answer_that_meets_half_of_what_was_wanted_counts_half() -> None:
    row = Guided("u", ("bullets", "detailed"), PROSE, LIST)
    assert met([row], np.random.default_rng(0))["after"]["value"] == 0.5


def test_of_nothing_no_rate_is_told() -> None:
    assert met([], np.random.default_rng(0)) == {"n": 0, "users": 0, "before": None, "after": None, "gain": None}

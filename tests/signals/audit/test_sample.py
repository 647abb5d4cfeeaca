"""signals/audit/sample: as many turns of each predicted class as there are, the same whatever order they come in."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.core.types import Polarity
from rejoinder.signals.audit.sample import draw, shares


@dataclass(frozen=True)
class One:
    event_id: str
    polarity: Polarity
    confidence: float = 0.9
    reasons: tuple[str, ...] = ()


TRAFFIC = [
    *(One(f"s{i}", Polarity.SAT) for i in range(500)),
    *(One(f"n{i}", Polarity.NONE) for i in range(60)),
    *(One(f"d{i}", Polarity.DSAT) for i in range(7)),
    *(One(f"u{i}", Polarity.NONE, reasons=(UNKNOWN_LANGUAGE,)) for i in range(2)),
]


def test_classes_are_drawn_alike_and_what_a_small_one_lacks_goes_to_the_others() -> None:
    assert shares({"a": 500, "b": 60, "c": 7}, 100) == {"a": 47, "b": 46, "c": 7}
    assert shares({"a": 2, "b": 0}, 10) == {"a": 2, "b": 0}
    assert sum(shares({"a": 5, "b": 5, "c": 5}, 7).values()) == 7


def test_unread_turns_are_a_class_of_their_own() -> None:
    drawn = draw(TRAFFIC, 60, 1)
    assert drawn.population == {"DSAT": 7, "none": 60, "SAT": 500, UNKNOWN_LANGUAGE: 2}
    assert {name: len(turns) for name, turns in drawn.turns.items()} == {
        "DSAT": 7,
        "none": 26,
        "SAT": 25,
        UNKNOWN_LANGUAGE: 2,
    }
    assert all(turn.event_id[0] == "s" for turn in drawn.turns["SAT"])


def test_the_order_of_the_traffic_changes_nothing_and_another_seed_does() -> None:
    assert draw(TRAFFIC, 60, 1) == draw(TRAFFIC[::-1], 60, 1)
    assert draw(TRAFFIC, 60, 1) != draw(TRAFFIC, 60, 2)


def test_every_turn_of_a_class_is_drawn_alike_often() -> None:
    hits = [turn.event_id for seed in range(400) for turn in draw(TRAFFIC[500:560], 6, seed).turns["none"]]
    counts = [hits.count(f"n{i}") for i in range(60)]
    # 40 of 400 expected, sd 6.
    assert min(counts) > 20
    assert max(counts) < 62
